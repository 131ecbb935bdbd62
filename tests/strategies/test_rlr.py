"""RLR against figures worked out by hand."""

import numpy as np
import pytest

from fl_backdoor.core.errors import ConfigError
from strategies.rules.rlr import RLR

# Signs add up to 5, 3, 1, -3 and, with a zero, 2.
ROWS = [
    [1.0, 2.0, 1.0, -1.0, 3.0],
    [1.0, 2.0, 1.0, -1.0, 3.0],
    [1.0, 2.0, 1.0, -1.0, 3.0],
    [1.0, 2.0, -1.0, -1.0, -1.0],
    [6.0, -3.0, -7.0, 9.0, 0.0],
]
MEAN = np.array([2.0, 1.0, -1.0, 1.0, 1.6])


@pytest.mark.parametrize(
    ("threshold", "signs"),
    [(1, [1, 1, 1, 1, 1]), (3, [1, 1, -1, 1, -1]), (4, [1, -1, -1, -1, -1])],
)
def test_the_mean_is_turned_where_too_few_agree(make_federation, make_clients, threshold, signs):
    result = make_federation(5).build(RLR, threshold=threshold).aggregate(make_clients(ROWS))
    np.testing.assert_allclose(result.update, MEAN * signs, rtol=1e-6)
    assert np.isnan(result.weights).all()
    assert not (result.filtered | result.flagged).any()


def test_the_mean_is_weighted_and_the_vote_is_not(make_federation, make_clients):
    clients = make_clients([[1.0], [1.0], [-1.0]], weights=[0.1, 0.1, 0.8])
    result = make_federation(3).build(RLR, threshold=1).aggregate(clients)
    np.testing.assert_allclose(result.update, [0.1 + 0.1 - 0.8], rtol=1e-6)


def test_a_threshold_that_nothing_can_reach_is_refused(make_federation):
    with pytest.raises(ConfigError, match="RLR needs at least 4 clients a round"):
        make_federation(3).build(RLR)
