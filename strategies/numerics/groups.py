"""Groups of clients that lie close together."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
"""Which group each client is in, from 0 on; -1: in none; int64 ``(n_clients,)``."""

NUM_REFERENCES = 10
"""Uniform samples that the gap statistic compares with."""


def k_means(points: NDArray[np.float64], count: int, seed: int) -> Labels:
    """Return the groups that k-means finds, as many as there are different points at most.

    Parameters
    ----------
    points
        float64 ``(n_clients, n_features)``.
    count
        Number of groups.
    seed
        Of the first centres.
    """
    from sklearn.cluster import KMeans

    count = min(count, len(np.unique(points, axis=0)))
    found = KMeans(n_clusters=count, n_init=10, random_state=seed % 2**32).fit(points)
    return np.asarray(found.labels_, dtype=np.int64)


def number_of_groups(points: NDArray[np.float64], most: int, random: np.random.Generator) -> int:
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
    seed = int(random.integers(2**32))
    references = [random.uniform(size=scaled.shape) * (high > low) for _ in range(NUM_REFERENCES)]
    counts = range(1, min(most + 1, len(points) - 1) + 1)
    gaps, errors = [], []
    for count in counts:
        expected = [_log_squares(reference, count, seed) for reference in references]
        gaps.append(float(np.mean(expected)) - _log_squares(scaled, count, seed))
        errors.append(float(np.std(expected)) * (1 + 1 / NUM_REFERENCES) ** 0.5)
    return _first_that_suffices(gaps, errors)


def _first_that_suffices(gaps: Sequence[float], errors: Sequence[float]) -> int:
    for number, gap in enumerate(gaps[:-1], start=1):
        if gap >= gaps[number] - errors[number]:
            return number
    return max(len(gaps) - 1, 1)


def _log_squares(points: NDArray[np.float64], count: int, seed: int) -> float:
    labels = k_means(points, count, seed)
    squares = sum(
        float(((points[labels == label] - points[labels == label].mean(axis=0)) ** 2).sum())
        for label in np.unique(labels)
    )
    return float(np.log(max(squares, np.finfo(np.float64).tiny)))
