"""Groups of clients, on points whose groups anybody can see."""

import numpy as np
import pytest

from strategies.numerics.groups import k_means, number_of_groups


def spots(*centres, count=12, spread=0.02):
    random = np.random.default_rng(1)
    return np.vstack([centre + spread * random.standard_normal((count, len(centre))) for centre in centres])


@pytest.mark.parametrize(
    ("points", "count"),
    [
        (spots([0.0, 0]), 1),
        (spots([0.0, 0], [1, 1]), 2),
        (spots([0.0, 0], [1, 0], [0, 1]), 3),
        (spots([0.0], [5.0]), 2),
        (np.ones((5, 2)), 1),
        (np.ones((1, 1)), 1),
        (np.array([[0.0], [1.0]]), 1),
    ],
)
def test_the_gap_statistic_counts_spots(points, count):
    assert number_of_groups(points, 8, np.random.default_rng(3)) == count


def test_k_means_finds_the_spots():
    labels = k_means(spots([0.0, 0], [1, 1]), 2, seed=5)
    assert len(set(labels[:12])) == len(set(labels[12:])) == 1
    assert labels[0] != labels[12]


def test_there_are_no_more_groups_than_different_points():
    labels = k_means(np.array([[0.0], [0.0], [1.0]]), 3, seed=5)
    assert labels[0] == labels[1] != labels[2]
