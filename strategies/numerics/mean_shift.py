"""Mean shift: groups around the peaks of a density, as many as there are.

D. Comaniciu and P. Meer, Mean Shift: A Robust Approach toward Feature Space Analysis, IEEE Transactions on
Pattern Analysis and Machine Intelligence 24, 2002, with a flat kernel and in the form that scikit-learn has
made usual; results are scikit-learn's. Points are few here, a client each, so that all move at once.
"""

import numpy as np
from numpy.typing import NDArray

from strategies.numerics.groups import Labels, Points

MOST_STEPS = 300
STOPS = 1e-3
"""A centre that moves by less than this share of the bandwidth has arrived."""


def usual_bandwidth(points: Points, quantile: float) -> float:
    """Return the mean over points of the distance within which a share `quantile` of all points lies."""
    nearest = max(int(len(points) * quantile), 1)
    return float(np.sort(_distances(points, points), axis=1)[:, nearest - 1].mean())


def mean_shift(points: Points, bandwidth: float) -> Labels:
    """Return each point's group; -1 if it is farther than the bandwidth from all peaks.

    Parameters
    ----------
    points
        float64 ``(n_clients, n_features)``.
    bandwidth
        Within what distance points draw a centre to themselves, greater than 0.
    """
    peaks = _peaks(points, bandwidth)
    distances = _distances(points, peaks)
    labels = distances.argmin(axis=1)
    return np.where(distances.min(axis=1) <= bandwidth, labels, -1)


def _peaks(points: Points, bandwidth: float) -> Points:
    """Return where centres end that begin at the points; of several within a bandwidth the densest."""
    centres, counts = points.copy(), np.ones(len(points))
    moving = np.arange(len(points))
    for _ in range(MOST_STEPS + 1):
        near = _distances(centres[moving], points) <= bandwidth
        counts[moving] = near.sum(axis=1)
        means = near.astype(np.float64) @ points / counts[moving, None]
        arrived = np.linalg.norm(means - centres[moving], axis=1) <= STOPS * bandwidth
        centres[moving] = means
        moving = moving[~arrived]
        if not len(moving):
            break
    # Densest first; of equally dense ones that which is farther along the first feature, the second, ….
    ordered = centres[np.lexsort((*centres.T[::-1], counts))[::-1]]
    peaks: list[NDArray[np.float64]] = []
    for centre in ordered:
        if not peaks or _distances(centre[None], np.stack(peaks)).min() > bandwidth:
            peaks.append(centre)
    return np.stack(peaks)


def _distances(points: Points, others: Points) -> NDArray[np.float64]:
    distances: NDArray[np.float64] = np.linalg.norm(points[:, None] - others[None, :], axis=2)
    return distances
