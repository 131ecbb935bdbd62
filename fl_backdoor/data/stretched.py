"""Images of any size and mode, brought to one shape.

They come out as uint8 ``(channels, size, size)``: colour or grey, see `fl_backdoor.data.colours`, and
stretched to a square, bilinearly.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from fl_backdoor.core.errors import ConfigError, DataError, FlBackdoorError
from fl_backdoor.data.colours import in_eight_bits
from fl_backdoor.data.dataset import ImageDataset, Split
from fl_backdoor.data.moments import OWN, Given
from fl_backdoor.data.progress import with_progress

if TYPE_CHECKING:
    from PIL.Image import Image

HALF = 0.5
"""Mean and standard deviation where none are given: pixels come to lie in [-1, 1]."""

DECODING = 2
"""To be raised whenever the same image would come out differently; part of the names in the cache."""


class StretchedImages(ImageDataset):
    """Base of the data sets whose images have any size.

    Parameters
    ----------
    root, cache, download
        As in `ImageDataset`.
    size
        Height and width that images are brought to.
    channels
        3: colour, 1: grey.
    mean, std
        By which each channel is normalised, in units of [0, 1]; ``own``: those of the training images; null:
        a half.

    Raises
    ------
    ConfigError
        If `mean` or `std` has another number of values than there are channels, or a deviation is zero.
    """

    def __init__(
        self,
        *,
        root: str | None,
        cache: str | None,
        download: bool,
        size: int,
        channels: Literal[1, 3],
        mean: Given = None,
        std: Given = None,
    ) -> None:
        super().__init__(root=root, cache=cache, download=download)
        self.channels = channels
        self.image_shape = (channels, size, size)
        self.mean, self.std = self._of_channels("mean", mean), self._of_channels("std", std)

    def _of_channels(self, name: str, given: Given) -> tuple[float, ...] | Literal["own"]:
        if given is None:
            return (HALF,) * self.channels
        if given != OWN and (len(given) != self.channels or (name == "std" and 0 in given)):
            above = " above 0" if name == "std" else ""
            raise ConfigError(
                f"dataset.{name}", list(given), f"must be {OWN}, or {self.channels} numbers{above}"
            )
        return given

    def stretched(self, which: str, count: int, labelled: "Iterable[tuple[Image, int]]") -> Split:
        """Return `count` images and their labels, all of the same shape; `which` set they are is shown.

        Raises
        ------
        DataError
            If an image cannot be read, with its name or its place among the others.
        """
        from PIL.Image import Resampling

        channels, height, width = self.image_shape
        pixels = np.empty((count, height, width, channels), dtype=np.uint8)
        labels = np.empty(count, dtype=np.int64)
        shown = with_progress(labelled, f"Decoding {self.name} ({which})", count)
        for row, (image, label) in enumerate(shown):
            with named(getattr(image, "filename", "") or f"{self.name}: image {row + 1} of {which}"):
                converted = in_eight_bits(image, self.channels)
                resized = converted.resize((width, height), Resampling.BILINEAR)
            pixels[row] = np.asarray(resized).reshape(height, width, channels)
            labels[row] = label
        return Split(pixels.transpose(0, 3, 1, 2), labels)


@contextmanager
def named(image: str | Path) -> Iterator[None]:
    """Turn whatever goes wrong while an image is read into a DataError that names it."""
    try:
        yield
    except FlBackdoorError:
        raise
    except Exception as error:  # each format fails in its own way
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise DataError(f"{readable(image)} cannot be read as an image ({reason})") from error


def readable(name: str | Path) -> str:
    """Return a name of the file system as text that any file and any terminal takes.

    Bytes that are no UTF-8, and characters that cannot be printed, are spelt out: other names stay others.
    """
    text = os.fsencode(str(name)).decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
