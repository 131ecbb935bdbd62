"""Images of any size and mode, brought to one shape.

They come out as uint8 ``(channels, size, size)``: colour or grey, and stretched to a square, bilinearly.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

import numpy as np

from fl_backdoor.data.dataset import ImageDataset, Split
from fl_backdoor.data.progress import with_progress

if TYPE_CHECKING:
    from PIL.Image import Image

HALF = 0.5
"""Mean and standard deviation that pixels are normalised with: they come to lie in [-1, 1]."""


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
    """

    def __init__(
        self, *, root: str | None, cache: str | None, download: bool, size: int, channels: Literal[1, 3]
    ) -> None:
        super().__init__(root=root, cache=cache, download=download)
        self.image_shape = (channels, size, size)
        self.mean, self.std = (HALF,) * channels, (HALF,) * channels

    def stretched(self, which: str, count: int, labelled: "Iterable[tuple[Image, int]]") -> Split:
        """Return `count` images and their labels, all of the same shape; `which` set they are is shown."""
        from PIL.Image import Resampling

        channels, height, width = self.image_shape
        pixels = np.empty((count, height, width, channels), dtype=np.uint8)
        labels = np.empty(count, dtype=np.int64)
        shown = with_progress(labelled, f"Decoding {self.name} ({which})", count)
        for row, (image, label) in enumerate(shown):
            converted = image.convert("RGB" if channels == 3 else "L")
            resized = converted.resize((width, height), Resampling.BILINEAR)
            pixels[row] = np.asarray(resized).reshape(height, width, channels)
            labels[row] = label
        return Split(pixels.transpose(0, 3, 1, 2), labels)
