"""Groups of clients where they lie densely."""

import numpy as np
from numpy.typing import NDArray

from strategies.numerics.groups import Labels

FEWEST_GROUPED = 2
"""Of so few clients none can be told apart from the others."""


def density_groups(
    distances: NDArray[np.float64],
    smallest: int,
    *,
    num_neighbours: int | None = None,
    may_be_one: bool = False,
) -> Labels:
    """Return the groups that HDBSCAN finds; two clients, or any number at one place, are one group.

    R. J. G. B. Campello, D. Moulavi and J. Sander, Density-Based Clustering Based on Hierarchical Density
    Estimates, PAKDD 2013.

    Parameters
    ----------
    distances
        float64 ``(n_clients, n_clients)``.
    smallest
        How many clients a group has at least, at least 2.
    num_neighbours
        How many clients, itself among them, must be near one that is no outlier; None: `smallest`.
    may_be_one
        Whether a single group may be found; without it, all those of one group are in none.
    """
    from sklearn.cluster import HDBSCAN

    if len(distances) <= FEWEST_GROUPED or not distances.any():
        return np.zeros(len(distances), dtype=np.int64)
    found = HDBSCAN(
        min_cluster_size=smallest,
        min_samples=num_neighbours,
        metric="precomputed",
        allow_single_cluster=may_be_one,
        copy=True,
    ).fit(distances)
    return np.asarray(found.labels_, dtype=np.int64)
