"""Which coordinates of an update are its largest."""

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.types import UpdateMatrix
from strategies.numerics.threads import in_order


def are_largest(update: NDArray[np.float32], count: int) -> NDArray[np.bool_]:
    """Return which coordinates have the `count` largest magnitudes; of equal ones the first.

    Parameters
    ----------
    update
        float32 ``(n_params,)``.
    count
        From 1 to n_params.

    Returns
    -------
    bool ``(n_params,)``.
    """
    magnitudes = np.abs(update)
    bound = np.partition(magnitudes, len(update) - count)[len(update) - count]
    largest: NDArray[np.bool_] = magnitudes >= bound
    too_many = np.count_nonzero(largest) - count
    if too_many:
        largest[np.flatnonzero(magnitudes == bound)[-too_many:]] = False
    return largest


def magnitude_bounds(updates: UpdateMatrix, count: int) -> NDArray[np.float32]:
    """Return of each update the `count`-th largest magnitude, float32 ``(n_clients,)``.

    Parameters
    ----------
    updates
        float32 ``(n_clients, n_params)``.
    count
        From 1 to n_params.
    """

    def bound(row: int) -> np.float32:
        magnitudes = np.abs(updates[row])
        place = len(magnitudes) - count
        smallest_kept: np.float32 = np.partition(magnitudes, place)[place]
        return smallest_kept

    return np.array(list(in_order(bound, range(len(updates)))), dtype=np.float32)
