"""FLTrust against figures worked out by hand."""

from dataclasses import dataclass

import numpy as np
import pytest

from fl_backdoor.core.errors import ConfigError
from strategies.rules.fltrust import FLTrust
from tests.strategies.toy_workbench import ToyWorkbench


@dataclass(frozen=True)
class Trained(ToyWorkbench):
    """Training on the server's own samples moves the model by `reference`."""

    reference: tuple[float, ...] = (3, 4)

    def train_on_root(self, model, server_round):
        return np.array(self.reference, np.float32)


@pytest.fixture
def aggregated(make_federation, make_clients):
    def of(rows, reference=(3, 4)):
        server = make_federation(len(rows)).knowing(workbench=Trained(reference=reference))
        rule = server.build(FLTrust)
        return rule, rule.aggregate(make_clients(rows))

    return of


# Beside (3, 4), of length 5: cosines 1 1 1 .6 -1 0, lengths 5 10 .5 5 5 5.
ROWS = [[3, 4], [6, 8], [0.3, 0.4], [5, 0], [-3, -4], [4, -3]]


def test_updates_of_one_length_count_by_their_cosines(aggregated):
    _, result = aggregated(ROWS)
    np.testing.assert_allclose(result.weights, np.array([1, 1, 1, 0.6, 0, 0]) / 3.6, atol=1e-7)
    np.testing.assert_allclose(result.clip_coefficients, [1, 0.5, 10, 1, 1, 1], rtol=1e-6)
    # (3 · (3, 4) + .6 · (5, 0)) / 3.6; a copy that forgets ‖Δ_0‖ / ‖Δ_i‖ has (12.3, 12.4) / 3.6.
    np.testing.assert_allclose(result.update, [12 / 3.6, 12 / 3.6], rtol=1e-6)
    np.testing.assert_array_equal(result.filtered, [False] * 4 + [True] * 2)
    np.testing.assert_array_equal(result.flagged, result.filtered)


def test_an_amplified_update_moves_the_model_no_further(aggregated):
    _, result = aggregated([[3, 4], [3e6, 4e6]])
    np.testing.assert_allclose(result.update, [3, 4], rtol=1e-6)


def test_buffers_are_those_of_the_trusted_and_play_no_part_in_trust(aggregated):
    rule, result = aggregated(ROWS)
    buffers = np.array([[1.0], [2], [3], [10], [1e9], [1e9]])
    np.testing.assert_array_equal(rule.merge_buffers(buffers, result), [2.5])


@pytest.mark.parametrize("row", [[-3, -4], [4, -3], [0, 0]])
def test_where_nobody_is_trusted_the_model_is_kept(aggregated, row):
    _, result = aggregated([row, row])
    np.testing.assert_array_equal(result.update, 0)
    assert result.filtered.all() and result.flagged.all()


def test_an_update_of_zeros_is_not_trusted(aggregated):
    _, result = aggregated([[3, 4], [0, 0]])
    np.testing.assert_array_equal(result.weights, [1, 0])
    np.testing.assert_array_equal(result.update, [3, 4])


@pytest.mark.parametrize("reference", [(0, 0), (np.nan, 1), (np.inf, 1)])
def test_a_server_that_learnt_nothing_judges_nobody_and_keeps_the_model(aggregated, reference):
    _, result = aggregated(ROWS, reference)
    np.testing.assert_array_equal(result.update, 0)
    assert result.filtered.all() and not result.flagged.any()


def test_an_update_of_more_than_the_parameters_is_refused(aggregated):
    # A known copy has BatchNorm's statistics in the cosine.
    with pytest.raises(ValueError, match=r"^the server's own update has 3 numbers, not 2 parameters$"):
        aggregated(ROWS, (3, 4, 1000))


def test_numbers_of_examples_do_not_go_with_trust(make_federation):
    server = make_federation(2, weighting="num_examples").knowing(workbench=Trained())
    with pytest.raises(
        ConfigError, match=r"^server\.weighting = .*num_examples.*: must be equal under FLTrust$"
    ):
        server.build(FLTrust)
