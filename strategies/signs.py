"""What is compared of an update: to which side of the median it moved the coordinates that it moved farthest.

Signs at a random sample of coordinates stand for whole updates. Whoever moves a coordinate far counts no more
there than whoever moves it a little, so neither long updates nor the few directions of which a young model
learns most rule the comparison. Coordinates that a client moved less than others of the same tensor count
nothing: their signs are the first that noise turns. Large and small tensors have the same say: a fully
connected layer with most of a model's parameters would otherwise drown what convolutions tell.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.types import ClientMask, UpdateMatrix
from fl_backdoor.updates import Layout

Signs = NDArray[np.int8]
"""-1, 0 or 1, int8 ``(n_clients, n_coordinates)``."""

MOST_COORDINATES = 1 << 24
"""Up to here float32 holds each product of signs."""


@dataclass(frozen=True)
class Sample:
    """Places in the parameter vector.

    Parameters
    ----------
    places
        int64 ``(n_coordinates,)``, ascending.
    bounds
        Where in `places` each tensor ends of which there are any, ascending.
    """

    places: NDArray[np.int64]
    bounds: tuple[int, ...]

    @classmethod
    def drawn(cls, layout: Layout, count: int, random: np.random.Generator) -> "Sample":
        """Draw `count` places, as evenly among the tensors as their sizes allow; all if there are no more."""
        sizes = [tensor.size for tensor in layout.tensors if tensor.is_parameter]
        shares = even_shares(sizes, count)
        places, start = [np.zeros(0, np.int64)], 0
        for size, share in zip(sizes, shares, strict=True):
            places.append(start + np.sort(random.choice(size, share, replace=False)))
            start += size
        bounds = np.unique(np.cumsum(shares, dtype=np.int64))
        return cls(np.concatenate(places), tuple(bounds[bounds > 0].tolist()))


def even_shares(sizes: Sequence[int], count: int) -> list[int]:
    """Share out `count` places among tensors: the same number to each, all of one that has no more."""
    shares, left = [0] * len(sizes), count
    for num_done, index in enumerate(np.argsort(sizes, kind="stable").tolist()):
        shares[index] = min(sizes[index], left // (len(sizes) - num_done))
        left -= shares[index]
    return shares


def farthest_signs(updates: UpdateMatrix, sample: Sample, trusted: ClientMask, share: float) -> Signs:
    """Return on which side of the median each update lies, where it lies farthest from it.

    Parameters
    ----------
    updates
        float32 ``(n_clients, n_params)``.
    sample
        Where they are compared.
    trusted
        Whose median it is, bool ``(n_clients,)``; everybody's if nobody is.
    share
        Of each tensor's coordinates, in (0, 1]: those with the largest deviations count, rounded up. More
        count where deviations are equal, fewer where they are 0.
    """
    sampled = updates[:, sample.places]
    deviations = sampled - np.median(sampled[trusted] if trusted.any() else sampled, axis=0)
    signs: Signs = np.sign(deviations).astype(np.int8)
    for start, end in zip((0, *sample.bounds), sample.bounds, strict=False):
        lengths = np.abs(deviations[:, start:end])
        first = (end - start) - math.ceil(share * (end - start))
        least = np.partition(lengths, first, axis=1)[:, first : first + 1]
        signs[:, start:end] *= lengths >= least
    return signs
