import numpy as np

from strategies.persistent_direction.median_rollback import MedianRollback
from strategies.rules.coordinate_rule import mixed
from strategies.rules.median import median


def after(found, clients, left_out=None):
    """Return the sums after a round in which the median of all others moved the model."""
    left_out = np.zeros(len(clients.weights), bool) if left_out is None else np.array(left_out)
    return found.after(clients, mixed(median(clients.updates[~left_out]), left_out))


def two_rounds(make_clients):
    """Return the sums of four clients; in both rounds the median moved the model by (11, 22).

    All updates are 25 long, so that none is clipped.
    """
    found = MedianRollback.none(4, 2)
    found = after(found, make_clients([[0, 25], [7, 24], [15, 20], [25, 0]]))
    return after(found, make_clients([[7, 24], [7, 24], [15, 20], [24, 7]]))


def test_what_the_others_lack_is_owed(make_clients):
    found = two_rounds(make_clients)
    # By themselves clients 0, 1 and 2 would have moved the model by (7, 49), (14, 48) and (30, 40).
    remaining = found.without(np.array([False, False, False, True]))
    np.testing.assert_allclose(remaining.owed, [17 - 22, 137 / 3 - 44], rtol=1e-6)
    assert remaining.shares.sum() == found.shares.sum() == 2
    # Nothing is owed twice.
    assert remaining.without(np.array([False, False, False, True])) is remaining


def test_who_is_flagged_later_adds_the_difference_alone(make_clients):
    found = two_rounds(make_clients).without(np.array([False, False, False, True]))
    step, found = found.step()
    found = found.without(np.array([False, False, True, True]))
    np.testing.assert_allclose(np.array([22, 44]) + step + found.owed, [10.5, 48.5], rtol=1e-6)


def test_a_fifth_of_the_others_on_either_side_says_nothing(make_clients):
    # The median of all is (7, 15). Of clients 0 to 4 it is 7, 15 and 20 that count, and 15, 20 and 24.
    rows = [[0, 25], [7, 24], [15, 20], [20, 15], [24, 7], [-25, 0], [-25, 0]]
    found = after(MedianRollback.none(7, 2), make_clients(rows))
    remaining = found.without(np.array([False] * 5 + [True] * 2))
    np.testing.assert_allclose(remaining.owed, [14 - 7, 59 / 3 - 15], rtol=1e-6)


def test_half_of_what_is_owed_is_done_in_each_round(make_clients):
    found = two_rounds(make_clients).without(np.array([False, False, False, True]))
    owed = found.owed
    for share in (1 / 2, 1 / 4, 1 / 8):
        step, found = found.step()
        np.testing.assert_allclose(step, share * owed, rtol=1e-6)
    np.testing.assert_allclose(found.owed, owed / 8, rtol=1e-6)


def test_rounds_count_for_whoever_took_part(make_clients):
    # Of six clients 1, 2 and 4 take part in a round of long updates, 0, 2 and 4 in one of short ones.
    found = after(MedianRollback.none(6, 2), make_clients([[0, 25], [7, 24], [25, 0]], client_ids=[1, 2, 4]))
    found = after(found, make_clients([[3, 4], [3, 4], [5, 0]], client_ids=[0, 2, 4]))
    np.testing.assert_allclose(found.shares, [1 / 3, 1 / 3, 2 / 3, 0, 2 / 3, 0])
    beyond = [[0, 0], [-7 / 3, 1 / 3], [0, 0], [0, 0], [20 / 3, -28 / 3], [0, 0]]
    np.testing.assert_allclose(found.beyond, beyond, rtol=1e-6)
    # In the mean of their rounds clients 0, 1 and 2 are (0, 0), (-7, 1) and (0, 0) beyond; of two rounds.
    remaining = found.without(np.array([False, False, False, False, True, False]))
    np.testing.assert_allclose(remaining.owed, [-14 / 3, 2 / 3], rtol=1e-6)


def test_an_update_counts_for_no_more_than_one_of_median_length(make_clients):
    found = after(MedianRollback.none(3, 2), make_clients([[3, 4], [3, 4], [0, 50]]))
    np.testing.assert_allclose(found.beyond, [[0, 0], [0, 0], [-1, 1 / 3]], rtol=1e-6)


def test_those_that_are_left_out_are_not_looked_at(make_clients):
    found = after(MedianRollback.none(3, 2), make_clients([[3, 4], [5, 0], [0, 5]]), [False, False, True])
    np.testing.assert_allclose(found.beyond, [[-0.5, 1], [0.5, -1], [0, 0]])
    np.testing.assert_allclose(found.shares, [0.5, 0.5, 0])


def test_nothing_is_owed_for_nobody_or_everybody(make_clients):
    found = two_rounds(make_clients)
    for left_out in ([False] * 4, [True] * 4):
        assert found.without(np.array(left_out)) is found
        np.testing.assert_array_equal(found.step()[0], [0, 0])
