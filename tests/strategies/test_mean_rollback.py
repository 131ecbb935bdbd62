import numpy as np

from strategies.base import clipped_mean
from strategies.persistent_direction.mean_rollback import MeanRollback


def moved_by(clients, clipped=1.0):
    """Return the aggregation of a round in which everybody's update counted, clipped alike."""
    return clipped_mean(clients, np.full(len(clients.weights), clipped), np.zeros(len(clients.weights), bool))


def test_what_some_moved_is_replaced_by_the_mean_of_the_others(make_clients):
    # All clients moved the model by (1, 2) and by (2, 0). Clients 0, 1 and 3 alone would have moved it by
    # (0, 8/3) and by (8/3, 0).
    rounds = [[[0, 2], [0, 2], [4, 0], [0, 4]], [[2, 0], [2, 0], [0, 0], [4, 0]]]
    found = MeanRollback.none(4, 2)
    for rows in rounds:
        clients = make_clients(rows)
        found = found.after(clients, moved_by(clients))
    remaining = found.without(np.array([False, False, True, False]))
    wanted = np.array([8 / 3, 8 / 3])
    np.testing.assert_allclose(remaining.owed, wanted - np.array([3, 2]), rtol=1e-6)
    # What is left is what the others would have moved, so that nothing is taken back twice.
    np.testing.assert_allclose(remaining.moved_by.sum(axis=0), wanted, rtol=1e-6)
    np.testing.assert_allclose(remaining.moved_with, [2 / 3, 2 / 3, 0, 2 / 3])
    assert remaining.without(np.array([False, False, True, False])) is remaining


def test_rows_belong_to_clients_not_to_places(make_clients):
    clients = make_clients([[2], [8]], client_ids=[1, 4])
    found = MeanRollback.none(6, 1).after(clients, moved_by(clients))
    np.testing.assert_array_equal(found.moved_by.ravel(), [0, 1, 0, 0, 4, 0])
    np.testing.assert_array_equal(found.moved_with, [0, 0.5, 0, 0, 0.5, 0])


def test_clipped_updates_moved_less_with_the_same_weight(make_clients):
    clients = make_clients([[2], [8]])
    found = MeanRollback.none(2, 1).after(clients, moved_by(clients, clipped=0.25))
    np.testing.assert_array_equal(found.moved_by.ravel(), [0.25, 1])
    np.testing.assert_array_equal(found.moved_with, [0.5, 0.5])


def test_nothing_is_taken_back_from_nobody_or_everybody(make_clients):
    clients = make_clients([[1], [3]])
    found = MeanRollback.none(2, 1).after(clients, moved_by(clients))
    for left_out in ([False, False], [True, True]):
        assert found.without(np.array(left_out)) is found
        np.testing.assert_array_equal(found.step()[0], [0])


def test_half_of_what_is_owed_is_taken_back_in_each_round(make_clients):
    # Client 1 moved the model by 4 of its 6; client 0 alone would have moved it by 4: 2 too far.
    clients = make_clients([[4], [8]])
    found = MeanRollback.none(2, 1).after(clients, moved_by(clients)).without(np.array([False, True]))
    steps = []
    for _ in range(3):
        step, found = found.step()
        steps.append(step.item())
    assert steps == [-1, -0.5, -0.25]
    np.testing.assert_array_equal(found.owed, [-0.25])
