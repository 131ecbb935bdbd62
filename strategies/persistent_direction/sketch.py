"""What is compared of an update beside its signs: a short vector whose products are those of whole updates.

Signs hear every coordinate alike; where an attacker moves few coordinates far, such as one word's embedding
or a few filters, lengths tell more. A sketch adds up coordinates with random signs: no coordinate is left
out, and products of sketches are those of the updates, but for noise. It is linear, so that deviations from
a mean are taken after it.

Source: K. Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", ICML 2009, section 2 and
lemma 2: products are unbiased, and those of unit vectors have a variance of O(1 / m) in m entries. Entries
are taken in turn here, not by a hash: the signs alone make products unbiased.
"""

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.types import ClientMask, UpdateMatrix
from strategies.numerics.clipping import clipped_to_median

Flips = NDArray[np.int8]
"""-1 or 1 for each parameter, int8 ``(n_params,)``."""

Sketches = NDArray[np.float32]
"""float32 ``(n_clients, n_places)``."""

LARGEST = np.iinfo(np.int16).max


def random_flips(num_params: int, random: np.random.Generator) -> Flips:
    """Draw a sign for each parameter."""
    return (2 * random.integers(2, size=num_params, dtype=np.int8) - 1).astype(np.int8)


def sketched(updates: UpdateMatrix, flips: Flips, num_entries: int) -> Sketches:
    """Add up the parameters of each update in `num_entries` sums, with signs; exact if they fit.

    Parameters
    ----------
    updates
        float32 ``(n_clients, n_params)``.
    flips
        The same in all rounds.
    num_entries
        At least 1.
    """
    num_clients, num_params = updates.shape
    sums = np.zeros((num_clients, num_entries), np.float32)
    for start in range(0, num_params, num_entries):
        part = updates[:, start : start + num_entries]
        sums[:, : part.shape[1]] += part * flips[start : start + part.shape[1]]
    return sums


def deviations(sketches: Sketches, trusted: ClientMask) -> NDArray[np.int16]:
    """Return in which direction each client deviates from the mean, no update longer than the median.

    Parameters
    ----------
    sketches
        Of the updates of a round.
    trusted
        Whose mean and median it is, bool ``(n_clients,)``; everybody's if nobody is.

    Returns
    -------
    int16 ``(n_clients, n_places)``, each row as long as int16 allows: whole numbers, whose products are exact
    in whatever order they are summed.
    """
    sketches = sketches.astype(np.float64)
    those = trusted if trusted.any() else ~trusted
    sketches *= clipped_to_median(np.linalg.norm(sketches, axis=1), trusted)[:, None]
    away = sketches - sketches[those].mean(axis=0)
    farthest = np.abs(away).max(axis=1, initial=0, keepdims=True)
    whole = np.divide(away, farthest, out=np.zeros_like(away), where=farthest > 0)
    rounded: NDArray[np.int16] = np.rint(LARGEST * whole).astype(np.int16)
    return rounded
