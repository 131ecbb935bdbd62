"""Which coordinates of an update are its largest."""

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.types import UpdateMatrix
from strategies.numerics.threads import in_order


def largest_coordinates(update: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """Return where the `count` largest magnitudes of an update are, ascending; of equal ones the first."""
    if count == len(update):
        return np.arange(count)
    magnitudes = np.abs(update)
    bound = np.partition(magnitudes, len(update) - count)[len(update) - count]
    above, equal = np.flatnonzero(magnitudes > bound), np.flatnonzero(magnitudes == bound)
    return np.sort(np.concatenate([above, equal[: count - len(above)]]))


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
