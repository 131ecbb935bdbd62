"""Groups of clients, on points whose groups anybody can see, and beside scikit-learn."""

from itertools import combinations

import numpy as np
import pytest
from sklearn.cluster import KMeans, MeanShift, estimate_bandwidth
from threadpoolctl import threadpool_limits

from strategies.numerics.groups import NUM_REFERENCES, k_means, number_of_groups
from strategies.numerics.mean_shift import mean_shift, usual_bandwidth


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


def squares(points, labels):
    return sum(
        ((points[labels == one] - points[labels == one].mean(axis=0)) ** 2).sum() for one in set(labels)
    )


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e25])
def test_k_means_finds_what_scikit_learns_does(scale):
    points = scale * np.random.default_rng(4).permutation(spots([0.0, 0], [1, 0], [0.4, 1], spread=0.1))
    for count in (1, 2, 3):
        found = k_means(points, count, seed=6)
        assert found[0] == 0 and set(found) == set(range(count))
        with threadpool_limits(1):
            inertia = KMeans(count, n_init=5, random_state=0).fit(points / scale).inertia_
        assert squares(points / scale, found) == pytest.approx(inertia, rel=0.01)


def least_squares(points, count):
    """Return the least squares of points on a line, over all ways to cut their order into groups."""
    ordered, size = np.sort(points[:, 0]), len(points)
    cuts = combinations(range(1, size), count - 1)
    return min(sum(part.var() * len(part) for part in np.split(ordered, list(cut))) for cut in cuts)


def test_the_gap_statistic_as_it_is_defined():
    """On points that show no groups clearly, with all ways to group them and the same references."""
    counts = []
    for seed in range(4):
        points = np.vstack([np.random.default_rng(seed).random((6, 1)), seed / 2 + 1.2 + np.zeros((2, 1))])
        box = (points - points.min()) / (points.max() - points.min())
        references = np.random.default_rng(5).uniform(size=(NUM_REFERENCES, 8, 1))
        expected = np.log([[least_squares(one, k) for one in references] for k in (1, 2, 3)])
        gaps = expected.mean(axis=1) - np.log([least_squares(box, k) for k in (1, 2, 3)])
        errors = expected.std(axis=1) * (1 + 1 / NUM_REFERENCES) ** 0.5
        first = next((k for k in (1, 2) if gaps[k - 1] >= gaps[k] - errors[k]), 3)
        assert number_of_groups(points, 3, np.random.default_rng(5)) == first
        counts.append(first)
    assert len(set(counts)) > 1


@pytest.mark.parametrize("seed", range(3))
def test_mean_shift_is_scikit_learns(seed):
    random = np.random.default_rng(seed)
    points = np.vstack([random.random((9, 1 + seed)), random.random((3, 1 + seed)) + 1])
    points = np.vstack([points, points[:1]])
    bandwidth = usual_bandwidth(points, 0.5)
    assert bandwidth == pytest.approx(estimate_bandwidth(points, quantile=0.5), rel=1e-12)
    for width in (bandwidth, bandwidth / 4):
        with threadpool_limits(1):
            theirs = MeanShift(bandwidth=width, cluster_all=False).fit(points).labels_
        np.testing.assert_array_equal(mean_shift(points, width), theirs)


def test_who_is_at_no_peak_is_in_no_group():
    # 0, 0.5 and 1 end at 0.5, 2 at (0.5 + 1 + 2) / 3: as dense, farther along, and too far from 0.
    points = np.array([[0.0], [0.5], [1.0], [2.0], [9.0]])
    np.testing.assert_array_equal(mean_shift(points, 1.05), [-1, 0, 0, 0, 1])
