"""FoolsGold against figures worked out by hand."""

import math

import numpy as np
import pytest

from strategies.rules.foolsgold import FoolsGold, foolsgold_weights


def logit(share):
    return math.log(share / (1 - share)) + 0.5


def test_pardoning_by_hand():
    # Largest: .8 .8 .4. The third resembles the first by .4, and is pardoned by .4 / .8.
    cosines = np.array([[1, 0.8, 0.4], [0.8, 1, 0.2], [0.4, 0.2, 1]])
    # What is left: .2 .2 1 - .2 = .8; divided by .8: 1/4 1/4 1.
    np.testing.assert_allclose(foolsgold_weights(cosines, 1.0), [0, 0, 1])
    assert logit(0.25) < 0, "so their logit is cut at 0"
    cosines[0, 1] = cosines[1, 0] = 0.5
    # Largest .5 .5 .4; the third's .4 becomes .32: left .5 .5 .68, divided .5/.68.
    expected = [min(logit(0.5 / 0.68), 1)] * 2 + [1]
    np.testing.assert_allclose(foolsgold_weights(cosines, 1.0), expected)
    np.testing.assert_allclose(
        foolsgold_weights(cosines, 0.5), np.multiply([logit(0.5 / 0.68)] * 2 + [2], 0.5)
    )


def test_who_is_unlike_everybody_needs_no_pardon():
    # The third is opposite to the first two: its largest cosine is -.9, which pardoning would turn to 8.1.
    cosines = np.array([[1, 0.1, -0.9], [0.1, 1, -0.95], [-0.9, -0.95, 1]])
    assert foolsgold_weights(cosines, 1.0)[2] == 1


def test_sybils_lose_their_say(make_federation, make_clients):
    rows = np.eye(5)
    rows[3:] = [0.0, 0.0, 0.0, 3.0, 4.0]
    result = make_federation(5).build(FoolsGold).aggregate(make_clients(rows))
    np.testing.assert_allclose(result.weights, [1 / 3, 1 / 3, 1 / 3, 0, 0])
    np.testing.assert_array_equal(result.flagged, [False] * 3 + [True] * 2)
    np.testing.assert_allclose(result.update, [1 / 3, 1 / 3, 1 / 3, 0, 0], rtol=1e-6)


def test_histories_are_compared_not_rounds(make_federation, make_clients):
    rule = make_federation(3).build(FoolsGold)
    rule.aggregate(make_clients([[1.0, 0.0, 0], [0.0, 1.0, 0], [0, 0, 1.0]]))
    # Equal updates of the first two in this round: their sums are still 45° apart.
    second = rule.aggregate(make_clients([[1.0, 1.0, 0], [1.0, 1.0, 0], [0, 0, 1.0]]))
    cosine = 4 / 5  # of (2, 1) and (1, 2)
    np.testing.assert_allclose(second.weights, [0, 0, 1])
    expected = foolsgold_weights(np.array([[1, cosine, 0], [cosine, 1, 0], [0, 0, 1]]), 1.0)
    np.testing.assert_allclose(second.weights, expected / expected.sum())


def test_clients_are_known_by_their_ids(make_federation, make_clients):
    rule = make_federation(4).build(FoolsGold)
    rule.aggregate(make_clients([[1.0, 0], [0, 1.0]], client_ids=[0, 3]))
    # Client 3 goes on in its direction; client 1 takes the same one and is new.
    result = rule.aggregate(make_clients([[0, 1.0], [0, 1.0], [1.0, 0]], client_ids=[1, 3, 0]))
    np.testing.assert_allclose(result.weights, [0, 0, 1])
    state = rule.state()
    resumed = make_federation(4).build(FoolsGold)
    resumed.restore(2, state)
    np.testing.assert_array_equal(resumed.state()["sums"], [[2, 0], [0, 2], [0, 1]])
    np.testing.assert_array_equal(resumed.state()["client_ids"], [0, 3, 1])


@pytest.mark.parametrize("num_clients", [1, 2, 5])
def test_if_all_are_the_same_all_count(make_federation, make_clients, num_clients):
    result = make_federation(num_clients).build(FoolsGold).aggregate(make_clients([[1.0, 2.0]] * num_clients))
    np.testing.assert_allclose(result.weights, 1 / num_clients)
