"""Groups of clients that lie close together.

Points are few, a client each, and have few features: what takes long in a library that is made for many is
calling it. All starts of k-means are worked on at once here, and so are all references of the gap statistic.
"""

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
"""Which group each client is in, from 0 on; -1: in none; int64 ``(n_clients,)``."""

Points = NDArray[np.float64]
"""float64 ``(n_clients, n_features)``."""

Sets = NDArray[np.float64]
"""Several sets of as many points, float64 ``(n_sets, n_clients, n_features)``."""

NUM_STARTS = 10
"""Of each set, from centres of its own; the one with the least squares counts."""

MOST_STEPS = 300
"""Steps of a start, of which a few usually suffice."""

NUM_REFERENCES = 10
"""Uniform samples that the gap statistic compares with."""


def k_means(points: Points, count: int, seed: int) -> Labels:
    """Return the groups that k-means finds, as many as there are different points at most.

    S. P. Lloyd, Least Squares Quantization in PCM, IEEE Transactions on Information Theory 28, 1982, from
    the first centres of D. Arthur and S. Vassilvitskii, k-means++: The Advantages of Careful Seeding, SODA
    2007, which are drawn `NUM_STARTS` times. Groups are numbered in the order of their first points.

    Parameters
    ----------
    points
        float64 ``(n_clients, n_features)``.
    count
        Number of groups.
    seed
        Of the first centres.
    """
    count = min(count, len(np.unique(points, axis=0)))
    [labels], _ = _grouped(points[None], count, np.random.default_rng(seed))
    _, first, number = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[number].astype(np.int64)


def number_of_groups(points: Points, most: int, random: np.random.Generator) -> int:
    """Return how many groups there are by the gap statistic, from 1 to `most`.

    R. Tibshirani, G. Walther and T. Hastie, Estimating the Number of Clusters in a Data Set via the Gap
    Statistic, Journal of the Royal Statistical Society B 63, 2001, section 3: the smallest k with
    gap(k) ≥ gap(k + 1) - s(k + 1), gap(k) being how much smaller the logarithm of the squares around k
    centres is than for points spread evenly over the same box.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    if (low == high).all():
        return 1
    scaled = (points - low) / np.where(high > low, high - low, 1)
    references = random.uniform(size=(NUM_REFERENCES, *scaled.shape)) * (high > low)
    distinct = len(np.unique(scaled, axis=0))

    def gap(count: int) -> tuple[float, float]:
        expected = _log_squares(references, count, random)
        [found] = _log_squares(scaled[None], min(count, distinct), random)
        return float(expected.mean() - found), float(expected.std()) * (1 + 1 / NUM_REFERENCES) ** 0.5

    most = max(min(most, len(points) - 2), 1)
    last, _ = gap(1)
    for count in range(1, most):
        following, error = gap(count + 1)
        if last >= following - error:
            return count
        last = following
    return most


def _log_squares(sets: Sets, count: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Return the logarithm of each set's least squares around so many centres, ``(n_sets,)``."""
    _, squares = _grouped(sets, count, random)
    logarithms: NDArray[np.float64] = np.log(np.maximum(squares, np.finfo(np.float64).tiny))
    return logarithms


def _grouped(sets: Sets, count: int, random: np.random.Generator) -> tuple[Labels, NDArray[np.float64]]:
    """Return the best of each set's starts: labels ``(n_sets, n_clients)`` and squares ``(n_sets,)``."""
    starts = np.repeat(sets, NUM_STARTS if count > 1 else 1, axis=0)
    labels, squares = _lloyd(starts, _first_centres(starts, count, random))
    of_sets = squares.reshape(len(sets), -1)
    best = of_sets.argmin(axis=1)
    everyone = np.arange(len(sets))
    return labels.reshape(*of_sets.shape, -1)[everyone, best], of_sets[everyone, best]


def _first_centres(sets: Sets, count: int, random: np.random.Generator) -> Sets:
    """Return points of each set, each drawn with the squared distance to the nearest before as its weight."""
    num_sets, num_points, _ = sets.shape
    everyone = np.arange(num_sets)
    chosen = [sets[everyone, random.integers(num_points, size=num_sets)]]
    nearest = np.full((num_sets, num_points), np.inf)
    while len(chosen) < count:
        apart = sets - chosen[-1][:, None]
        nearest = np.minimum(nearest, np.vecdot(apart, apart))
        sums = nearest.cumsum(axis=1)
        drawn = random.random((num_sets, 1)) * sums[:, -1:]
        chosen.append(sets[everyone, (sums <= drawn).sum(axis=1).clip(max=num_points - 1)])
    return np.stack(chosen, axis=1)


def _lloyd(sets: Sets, centres: Sets) -> tuple[Labels, NDArray[np.float64]]:
    """Return each set's groups once they stay, and the sum of squares around their centres."""
    labels = np.zeros(0, dtype=np.int64)
    for _ in range(MOST_STEPS):
        apart = sets[:, :, None] - centres[:, None]
        squares = np.vecdot(apart, apart)
        before, labels = labels, squares.argmin(axis=2)
        if np.array_equal(before, labels):
            break
        belongs = (labels[:, :, None] == np.arange(centres.shape[1])).astype(np.float64)
        sizes = belongs.sum(axis=1)[:, :, None]
        # A group that has lost all its points stays where it is.
        centres = np.where(sizes > 0, np.einsum("snk,snf->skf", belongs, sets) / sizes.clip(1), centres)
    return labels, squares.min(axis=2).sum(axis=1)
