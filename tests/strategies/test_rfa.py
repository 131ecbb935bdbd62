"""RFA against figures worked out by hand, and against a minimiser."""

import numpy as np
import pytest
from scipy.optimize import minimize

from strategies.rules.rfa import RFA, weiszfeld_weights

# On a line: the mean of 0 0 1 7 is 2, its distances 2 2 1 5, their inverses 1/2 1/2 1 1/5, the sum 11/5.
ON_A_LINE = [[0.0], [0.0], [1.0], [7.0]]
FIRST = [5 / 22, 5 / 22, 10 / 22, 2 / 22]
# The next mean is (10 + 14) / 22 = 12/11, the distances 12/11 12/11 1/11 65/11.
SECOND = [11 / 12, 11 / 12, 11, 11 / 65]


@pytest.mark.parametrize(
    ("num_iterations", "expected"),
    [(1, FIRST), (2, np.divide(SECOND, sum(SECOND)))],
)
def test_steps_by_hand(make_federation, make_clients, num_iterations, expected):
    rule = make_federation(4).build(RFA, num_iterations=num_iterations)
    result = rule.aggregate(make_clients(ON_A_LINE))
    np.testing.assert_allclose(result.weights, expected, rtol=1e-6)
    np.testing.assert_allclose(result.update, [expected[2] + 7 * expected[3]], rtol=1e-6)
    assert not (result.filtered | result.flagged).any()


def test_clients_count_by_their_weights(make_federation, make_clients):
    # The weighted mean of 0 and 4 is 1, distances 1 and 3: (3/4) / 1 and (1/4) / 3, that is 9 to 1.
    clients = make_clients([[0.0], [4.0]], weights=[0.75, 0.25])
    result = make_federation(2).build(RFA, num_iterations=1).aggregate(clients)
    np.testing.assert_allclose(result.weights, [0.9, 0.1], rtol=1e-14)


def test_many_steps_reach_the_geometric_median():
    rows = np.random.default_rng(1).standard_normal((7, 3)).astype(np.float32)
    rows[6] = [1e3, -1e3, 1e3]
    weights = weiszfeld_weights(rows, np.full(7, 1 / 7), 1000, 1e-6)
    exact = rows.astype(np.float64)
    best = minimize(
        lambda v: np.linalg.norm(exact - v, axis=1).sum(), np.zeros(3), method="Nelder-Mead", tol=1e-12
    )
    np.testing.assert_allclose(weights @ exact, best.x, atol=1e-4)


def test_an_inverse_distance_is_not_an_exponential():
    # A known wrong copy weighs by exp(-distance): 1 / e to 1 / e⁵ where the paper has 5 to 1.
    rows = np.array(ON_A_LINE, np.float32)
    weights = weiszfeld_weights(rows, np.full(4, 0.25), 1, 1e-6)
    assert weights[2] / weights[3] == pytest.approx(5)


def test_whoever_is_at_the_guess_counts_as_at_the_smoothing(make_clients):
    rows = np.array([[0.0], [1.0], [2.0]], np.float32)
    # The mean is the second: distances 1 .1 1.
    np.testing.assert_allclose(weiszfeld_weights(rows, np.full(3, 1 / 3), 1, 0.1), [1 / 12, 10 / 12, 1 / 12])
