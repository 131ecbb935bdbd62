"""Dense groups, on points whose groups anybody can see."""

import numpy as np

from strategies.numerics.density import density_groups


def distances_on_a_line(*places):
    points = np.array(places, dtype=np.float64)
    return np.abs(points[:, None] - points[None, :])


def test_dense_places_are_groups_and_who_is_far_from_all_is_in_none():
    labels = density_groups(distances_on_a_line(0, 1, 2, 100, 9000, 101, 102), smallest=2)
    assert labels[0] == labels[1] == labels[2] != labels[3] == labels[5] == labels[6]
    assert labels[4] == -1
    # Three clients are no group of four.
    assert (density_groups(distances_on_a_line(0, 1, 2, 100, 9000, 101, 102), smallest=4) == -1).all()


def test_a_single_group_is_found_where_it_may_be():
    one = np.ones((6, 6)) - np.eye(6)
    one[5, :5] = one[:5, 5] = 9
    assert density_groups(one, 4, num_neighbours=1, may_be_one=True).tolist() == [0, 0, 0, 0, 0, -1]
    assert (density_groups(one, 4) == -1).all()


def test_two_clients_or_equal_ones_are_one_group():
    assert density_groups(distances_on_a_line(0, 5), 2).tolist() == [0, 0]
    assert density_groups(np.zeros((5, 5)), 4).tolist() == [0] * 5
