"""SignGuard against figures worked out by hand."""

import numpy as np

from strategies.rules.signguard import SignGuard, largest_cluster, sign_shares


def test_shares_of_signs_by_hand():
    rows = np.array([[1, 2, -3, 0], [4, 5, 6, -1], [-1, -1, -1, -1]], np.float32)
    # > 0: 2 3 0 of 4; = 0: 1 0 0; < 0: 1 1 4.
    expected = [[2 / 3, 1, 1 / 4], [1, 0, 1 / 4], [0, 0, 1]]
    np.testing.assert_allclose(sign_shares(rows), expected)


def test_the_larger_of_two_camps():
    features = np.array([[0.0, 0, 0]] * 4 + [[1.0, 1, 1]] * 5)
    np.testing.assert_array_equal(largest_cluster(features), [False] * 4 + [True] * 5)
    assert largest_cluster(features[3:5]).all(), "of two nobody can say which is right"
    assert largest_cluster(features[:4]).all()


def directions(count):
    """Return rows whose signs are three quarters positive, each of the length 2."""
    return np.array([np.roll([1.0, 1, 1, -1], shift) for shift in range(count)])


def test_usual_lengths_pass(make_federation, make_clients):
    # Norms .2 (a tenth), 2, 2, 2, 2, 6 (three times) and 6.2; at the bounds they pass.
    rows = directions(7) * np.array([0.1, 1, 1, 1, 1, 3, 3.1])[:, None]
    result = make_federation(7).build(SignGuard, sampled_share=1).aggregate(make_clients(rows))
    np.testing.assert_array_equal(result.flagged, [False] * 6 + [True])
    np.testing.assert_allclose(result.clip_coefficients, [1, 1, 1, 1, 1, 1 / 3, 1 / 3.1], rtol=1e-6)


def test_turned_signs_are_left_out(make_federation, make_clients):
    rows = np.vstack([directions(5), -directions(2)])
    result = make_federation(7).build(SignGuard, sampled_share=1).aggregate(make_clients(rows))
    np.testing.assert_array_equal(result.flagged, [False] * 5 + [True] * 2)
    np.testing.assert_allclose(result.update, directions(5).mean(axis=0), atol=1e-7)


def test_signs_are_counted_on_a_sample_that_changes(make_federation, make_clients):
    # Only one coordinate in a thousand has the attackers' signs: seldom in a sample, then for all to see.
    rows = np.ones((7, 1000))
    rows[5:, 17] = -1
    rule = make_federation(7).build(SignGuard, sampled_share=0.1)
    seen = [rule.aggregate(make_clients(rows, server_round=at)).flagged[5:].all() for at in range(1, 41)]
    assert 0 < sum(seen) < 20
