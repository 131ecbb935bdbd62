"""What is compared of an update: to which side of the median it moved each of some coordinates.

Signs at a random sample of coordinates stand for whole updates. Whoever moves a coordinate far counts no more
there than whoever moves it a little, so neither long updates nor the few directions of which a young model
learns most rule the comparison.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.layout import Layout
from fl_backdoor.core.types import ClientMask, UpdateMatrix

Coordinates = NDArray[np.int64]
"""Coordinates in the parameter vector, int64 ``(n_coordinates,)``, ascending."""

Signs = NDArray[np.int8]
"""-1, 0 or 1, int8 ``(n_clients, n_coordinates)``."""


def parameters_alike(layout: Layout, count: int, random: np.random.Generator) -> Coordinates:
    """Draw `count` coordinates, each parameter with the same probability; all if there are no more."""
    drawn = random.choice(layout.num_params, size=min(count, layout.num_params), replace=False)
    return np.sort(drawn).astype(np.int64)


def tensors_alike(layout: Layout, count: int, random: np.random.Generator) -> Coordinates:
    """Draw `count` coordinates, of each tensor as many as its size allows; all if there are no more."""
    sizes = [tensor.size for tensor in layout.tensors if tensor.is_parameter]
    coordinates, start = [np.zeros(0, np.int64)], 0
    for size, share in zip(sizes, even_shares(sizes, count), strict=True):
        coordinates.append(start + np.sort(random.choice(size, share, replace=False)))
        start += size
    return np.concatenate(coordinates)


def even_shares(sizes: Sequence[int], count: int) -> list[int]:
    """Share out `count` coordinates among tensors: the same number to each, all of one that has no more."""
    shares, left = [0] * len(sizes), count
    for num_done, index in enumerate(np.argsort(sizes, kind="stable").tolist()):
        shares[index] = min(sizes[index], left // (len(sizes) - num_done))
        left -= shares[index]
    return shares


def deviation_signs(sampled: UpdateMatrix, trusted: ClientMask) -> Signs:
    """Return on which side of the median each client's update lies.

    Parameters
    ----------
    sampled
        Updates where they are compared, float32 ``(n_clients, n_coordinates)``.
    trusted
        Whose median it is, bool ``(n_clients,)``; everybody's if nobody is.
    """
    centre = np.median(sampled[trusted] if trusted.any() else sampled, axis=0)
    signs: Signs = np.sign(sampled - centre).astype(np.int8)
    return signs
