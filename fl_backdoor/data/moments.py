"""Mean and standard deviation of each channel of images, by which a model's inputs are normalised.

``mean: own`` and ``std: own`` are those of the training images. They are counted once, exactly, from how
often each of the 256 values occurs, and kept beside the decoded images.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import PlainValidator

from fl_backdoor.data import cache

OWN: Literal["own"] = "own"
"""In the place of numbers: those of the training images."""

LEVELS = 256
SMALLEST_STD = 1 / (LEVELS - 1)
"""Of a channel in which all pixels are alike: one step."""

IMAGES_AT_A_TIME = 1_000


def _checked(value: object) -> object:
    if value is None or value == OWN:
        return value
    if isinstance(value, list | tuple) and all(type(one) in (int, float) and 0 <= one <= 1 for one in value):
        return tuple(map(float, value))
    raise ValueError(f"must be null, {OWN} or a list with a number from 0 to 1 for each channel")


Given = Annotated[Literal["own"] | tuple[float, ...] | None, PlainValidator(_checked)]
"""A mean or a deviation as a user gives it: numbers, one for each channel, `OWN`, or None: a half."""


@dataclass(frozen=True)
class Moments:
    """Of each channel, in units of [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


def moments(images: NDArray[np.uint8]) -> Moments:
    """Return mean and deviation of each channel of images, uint8 ``(n, channels, height, width)``."""
    counts = np.zeros((images.shape[1], LEVELS), dtype=np.int64)
    for first in range(0, len(images), IMAGES_AT_A_TIME):
        some = images[first : first + IMAGES_AT_A_TIME]
        for channel in range(len(counts)):
            counts[channel] += np.bincount(some[:, channel].ravel(), minlength=LEVELS)
    found = [_of_counts(row) for row in counts.tolist()]
    return Moments(tuple(mean for mean, _ in found), tuple(std for _, std in found))


def kept(folder: Path, images: NDArray[np.uint8]) -> Moments:
    """Return the moments of images that are kept in `folder`; count them first if they are not."""
    arrays = cache.open_or_create(folder, lambda: _as_arrays(moments(images)))
    return Moments(*(tuple(arrays[name].tolist()) for name in ("mean", "std")))


def _of_counts(counts: list[int]) -> tuple[float, float]:
    number = sum(counts)
    total = sum(level * count for level, count in enumerate(counts))
    squares = sum(level * level * count for level, count in enumerate(counts))
    # In whole numbers of any size: nothing is rounded before the root.
    std = float(number * squares - total * total) ** 0.5 / (number * (LEVELS - 1))
    return total / (number * (LEVELS - 1)), std or SMALLEST_STD


def _as_arrays(found: Moments) -> dict[str, NDArray[Any]]:
    return {"mean": np.array(found.mean), "std": np.array(found.std)}
