"""Means of buffers, such as BatchNorm's statistics, for rules to whose idea a median does not belong.

A buffer's values are float64 ``(n_clients, n_values)``, the result is float64 ``(n_values,)``.
"""

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.types import ClientVector


def weighted_mean(values: NDArray[np.float64], weights: ClientVector) -> NDArray[np.float64]:
    """Return the plain mean, which one client alone can put anywhere; weights need not have the sum 1."""
    return np.tensordot(weights / weights.sum(), values, axes=1)


def bounded_mean(
    values: NDArray[np.float64], weights: ClientVector, num_malicious: int
) -> NDArray[np.float64]:
    """Return the weighted mean of values that are first moved into the range of all but 2f clients' values.

    The f lowest and the f highest values are not in that range. As long as no more than f clients lie, it
    is within the range of honest values, and so is the mean, whoever has weight. With equal weights it is the
    winsorized mean (W. J. Dixon, Annals of Mathematical Statistics 31, 1960).

    Parameters
    ----------
    values
        Of all clients.
    weights
        0 where a client was not selected.
    num_malicious
        f, fewer than half of the clients.
    """
    ordered = np.sort(values, axis=0)
    lowest, highest = ordered[num_malicious], ordered[len(values) - 1 - num_malicious]
    # Once more for the mean's own rounding.
    return weighted_mean(values.clip(lowest, highest), weights).clip(lowest, highest)
