"""The coordinate-wise trimmed mean against figures by hand and SciPy."""

import numpy as np
import pytest
from scipy.stats import trim_mean

from fl_backdoor.core.errors import ConfigError
from strategies.numerics.columns import CHUNK_COLUMNS
from strategies.rules.trimmed_mean import TrimmedMean, trimmed_mean

FIVE = [[1, 0], [0, 7], [100, -1], [4, 1], [2, 2]]


@pytest.mark.parametrize(
    ("beta", "expected"),
    [
        (0.0, [21.4, 1.8]),
        (0.19, [21.4, 1.8]),  # 0.95 of a client is none
        (0.2, [7 / 3, 1]),
        (0.4, [2, 1]),
        (0.49, [2, 1]),
    ],
)
def test_by_hand(make_federation, make_clients, beta, expected):
    result = make_federation().build(TrimmedMean, beta=beta).aggregate(make_clients(FIVE))
    np.testing.assert_allclose(result.update, expected, rtol=1e-7)
    np.testing.assert_array_equal(result.weights, np.full(5, np.nan))
    assert not (result.filtered | result.flagged).any()


def test_a_share_that_is_a_whole_number_of_clients_but_for_rounding():
    assert 0.29 * 100 < 29
    updates = np.repeat([0, 1, 1000], [28, 43, 29])[:, None].astype(np.float32)
    np.testing.assert_allclose(trimmed_mean(updates, 0.29), [(42 * 1) / 42], rtol=1e-7)


@pytest.mark.parametrize(("num_clients", "middle"), [(1, 0), (2, 0.5), (3, 1), (4, 1.5), (1000, 499.5)])
def test_something_is_left_however_little_a_share_lies_under_a_half(num_clients, middle):
    updates = np.arange(num_clients, dtype=np.float32)[:, None]
    for beta in (0.4999999999, np.nextafter(0.5, 0)):
        np.testing.assert_array_equal(trimmed_mean(updates, beta), [middle])


@pytest.mark.parametrize("beta", [0.0, 0.1, 0.25, 0.45])
@pytest.mark.parametrize("num_clients", [1, 2, 3, 10, 49, 50, 301])
@pytest.mark.parametrize("num_params", [1, CHUNK_COLUMNS, 2 * CHUNK_COLUMNS + 3])
def test_agrees_with_scipy(num_clients, num_params, beta):
    updates = np.random.default_rng(0).standard_normal((num_clients, num_params)).astype(np.float32)
    expected = trim_mean(updates.astype(np.float64), beta, axis=0)
    np.testing.assert_allclose(trimmed_mean(updates, beta), expected, rtol=6e-8, atol=1e-15)


def test_moving_all_updates_moves_the_result():
    rng = np.random.default_rng(0)
    rows, step = rng.integers(-50, 50, (10, 300)), rng.integers(-1000, 1000, 300)
    moved = trimmed_mean((rows + step).astype(np.float32), 0.2)
    np.testing.assert_allclose(moved, trimmed_mean(rows.astype(np.float32), 0.2) + step, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize(
    ("server", "beta", "message"),
    [
        ({}, 0.5, "strategy.beta = 0.5: must be less than 0.5"),
        ({}, -0.1, "strategy.beta = -0.1: must be greater than or equal to 0"),
        (
            {"weighting": "num_examples"},
            0.1,
            "server.weighting = num_examples: must be equal under TrimmedMean",
        ),
    ],
)
def test_a_wrong_setting_is_one_line(server, beta, message, make_federation):
    spec = {"_target_": "strategies.TrimmedMean", "beta": beta}
    with pytest.raises(ConfigError) as caught:
        make_federation(**server).configured(spec)
    assert str(caught.value) == message
