import numpy as np

from strategies.median import median
from strategies.remainders import Remainders


def after(found, clients, clipped=1.0, keep=None):
    """Return the sums after a round in which the median of those in `keep` moved the model."""
    keep = np.ones(len(clients.weights), bool) if keep is None else np.array(keep)
    coefficients = np.full(len(clients.weights), clipped)
    return found.after(clients, keep, coefficients, median(clients.updates[keep]))


def two_rounds(make_clients):
    """Return the sums of four clients, by hand: medians of 3 and 1.5 moved the model by 4.5."""
    found = Remainders.none(4, 1)
    for rows in ([[0], [2], [4], [10]], [[1], [1], [2], [8]]):
        found = after(found, make_clients(rows))
    return found


def test_what_some_shifted_the_median_by_is_owed(make_clients):
    found = two_rounds(make_clients)
    # By themselves clients 0, 1 and 2 would have moved the model by 1, 3 and 6.
    remaining = found.without(np.array([False, False, False, True]))
    np.testing.assert_allclose(remaining.owed, [10 / 3 - 4.5], rtol=1e-6)
    assert remaining.shares.sum() == found.shares.sum() == 2
    # Nothing is owed twice.
    assert remaining.without(np.array([False, False, False, True])) is remaining


def test_who_is_flagged_later_adds_the_difference_alone(make_clients):
    found = two_rounds(make_clients).without(np.array([False, False, False, True]))
    step, found = found.step()
    found = found.without(np.array([False, False, True, True]))
    # Clients 0 and 1 would have moved the model by 1 and 3.
    np.testing.assert_allclose(4.5 + step + found.owed, [2], rtol=1e-6)


def test_a_fifth_of_the_others_on_either_side_says_nothing(make_clients):
    # Of clients 0 to 4, with a median of 3 for all, 0 and 4 are not counted: the model should be at 11/3.
    found = after(Remainders.none(7, 1), make_clients([[0], [3], [3], [5], [80], [-9], [-9]]))
    remaining = found.without(np.array([False] * 5 + [True] * 2))
    np.testing.assert_allclose(remaining.owed, [11 / 3 - 3], rtol=1e-6)


def test_half_of_what_is_owed_is_done_in_each_round(make_clients):
    found = two_rounds(make_clients).without(np.array([False, False, False, True]))
    steps = []
    for _ in range(3):
        step, found = found.step()
        steps.append(step.item())
    owed = 10 / 3 - 4.5
    np.testing.assert_allclose(steps, [owed / 2, owed / 4, owed / 8], rtol=1e-6)
    np.testing.assert_allclose(found.owed, [owed / 8], rtol=1e-6)


def test_rounds_count_for_whoever_took_part(make_clients):
    # Of six clients 1, 2 and 4 take part in a round of long updates, 0, 2 and 4 in one of short ones.
    found = after(Remainders.none(6, 1), make_clients([[90], [99], [100]], client_ids=[1, 2, 4]))
    found = after(found, make_clients([[3], [3], [12]], client_ids=[0, 2, 4]))
    np.testing.assert_allclose(found.shares, [1 / 3, 1 / 3, 2 / 3, 0, 1 / 3 + 1 / 3, 0])
    np.testing.assert_allclose(found.beyond.ravel(), [0, -9 / 3, 0, 0, 1 / 3 + 9 / 3, 0], rtol=1e-6)
    # In the mean of their rounds clients 0, 1 and 2 are 0, -9 and 0 beyond the median; there were two rounds.
    remaining = found.without(np.array([False, False, False, False, True, False]))
    np.testing.assert_allclose(remaining.owed, [-3 * 2], rtol=1e-6)


def test_clipped_updates_are_what_counts(make_clients):
    found = after(Remainders.none(3, 1), make_clients([[0], [4], [8]]), clipped=0.5)
    np.testing.assert_allclose(found.beyond.ravel(), [-4 / 3, -2 / 3, 0], rtol=1e-6)


def test_those_that_are_left_out_are_not_looked_at(make_clients):
    found = after(Remainders.none(3, 1), make_clients([[0], [4], [8]]), keep=[True, True, False])
    np.testing.assert_allclose(found.beyond.ravel(), [-1, 1, 0])
    np.testing.assert_allclose(found.shares, [0.5, 0.5, 0])


def test_nothing_is_owed_for_nobody_or_everybody(make_clients):
    found = two_rounds(make_clients)
    for left_out in ([False] * 4, [True] * 4):
        assert found.without(np.array(left_out)) is found
        np.testing.assert_array_equal(found.step()[0], [0])
