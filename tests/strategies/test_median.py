"""The coordinate-wise median against figures by hand and NumPy."""

import numpy as np
import pytest

from fl_backdoor.core.errors import ConfigError
from strategies.numerics.columns import CHUNK_COLUMNS
from strategies.rules.median import Median, median


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[3, -1]], [3, -1]),
        ([[3, -1], [4, 7]], [3.5, 3]),
        ([[5, 0], [1, 1e30], [2, -8]], [2, 0]),
        ([[5, 0], [1, 9], [2, -8], [1000, 2]], [3.5, 1]),
        ([[2e30], [2e30], [-2e30], [2e30]], [2e30]),
    ],
)
def test_by_hand(make_federation, make_clients, rows, expected):
    result = make_federation().build(Median).aggregate(make_clients(rows))
    np.testing.assert_array_equal(result.update, np.array(expected, dtype=np.float32))
    np.testing.assert_array_equal(result.weights, np.full(len(rows), np.nan))
    assert not (result.filtered | result.flagged).any()


@pytest.mark.parametrize("num_clients", [1, 2, 3, 10, 49, 50, 301])
@pytest.mark.parametrize("num_params", [1, 1000, CHUNK_COLUMNS, 2 * CHUNK_COLUMNS + 3])
def test_is_numpys_bit_for_bit(num_clients, num_params):
    updates = np.random.default_rng(0).standard_normal((num_clients, num_params)).astype(np.float32)
    np.testing.assert_array_equal(median(updates), np.median(updates, axis=0))


def test_moving_all_updates_moves_the_result():
    rng = np.random.default_rng(0)
    rows, step = rng.integers(-50, 50, (10, 300)), rng.integers(-1000, 1000, 300)
    moved = median((rows + step).astype(np.float32))
    np.testing.assert_array_equal(moved, median(rows.astype(np.float32)) + step)


def test_weighting_by_examples_is_refused(make_federation):
    spec = {"_target_": "strategies.Median"}
    with pytest.raises(ConfigError) as caught:
        make_federation(weighting="num_examples").configured(spec)
    assert str(caught.value) == "server.weighting = num_examples: must be equal under Median"
