"""A folder of images for each class, below ``train`` and ``test``, as torchvision's ImageFolder takes them.

``<root>/<folder>/train/<class>/*.png`` and ``<root>/<folder>/test/<class>/*.png``, or ``val`` in the place
of ``test``, at any depth below the class. Classes are numbered in the order of their names. Images of any
size and of any format that Pillow reads come out as uint8 ``(channels, size, size)``: stretched to a
square, bilinearly.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from fl_backdoor.data.dataset import Dataset, ImageDataset, Source, Split
from fl_backdoor.errors import DataError
from fl_backdoor.types import PositiveCount

TRAIN = "train"
TEST = ("test", "val")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp"})

HALF = 0.5
"""Mean and standard deviation that pixels are normalised with: they come to lie in [-1, 1]."""


class ImageFolder(ImageDataset):
    """A tree of images; see the module and `ImageDataset`.

    Parameters
    ----------
    folder
        The tree, from `root` or absolute.
    root, cache
        As in `ImageDataset`.
    size
        Height and width that images are brought to.
    channels
        3: colour, 1: grey.

    Raises
    ------
    DataError
        If there is no such tree, or its test images have a class that its training images lack.
    """

    name = "image_folder"

    def __init__(
        self,
        *,
        folder: str,
        root: str | None = None,
        cache: str | None = None,
        size: PositiveCount = 32,
        channels: Literal[1, 3] = 3,
    ) -> None:
        super().__init__(root=root, cache=cache, download=False)
        self.folder = self.root / Path(folder).expanduser()
        self.wanted = f"{folder}/{TRAIN}/<class>/ with images"
        self.image_shape = (channels, size, size)
        self.mean, self.std = (HALF,) * channels, (HALF,) * channels
        self._train = _images(self.folder / TRAIN)
        self._test = next(filter(None, (_images(self.folder / name) for name in TEST)), [])
        self.num_train, self.num_test = len(self._train), len(self._test)
        self.class_names = tuple(sorted({label for label, _ in self._train}))
        self.num_classes = len(self.class_names)
        self._refuse_what_is_missing()

    def locate(self) -> Source:
        """Return all images."""
        paths = [str(file.relative_to(self.folder)) for _, file in (*self._train, *self._test)]
        told = json.dumps([self.image_shape, paths])
        files = tuple(file for _, file in (*self._train, *self._test))
        return Source(files, hashlib.sha256(told.encode()).hexdigest())

    def decode(self, source: Source) -> Dataset:
        """Return the images, resized."""
        return Dataset(self._read(self._train), self._read(self._test))

    def _read(self, files: list[tuple[str, Path]]) -> Split:
        from PIL import Image

        channels, height, width = self.image_shape
        pixels = np.empty((len(files), height, width, channels), dtype=np.uint8)
        for row, (_, file) in enumerate(files):
            with Image.open(file) as image:
                converted = image.convert("RGB" if channels == 3 else "L")
            resized = converted.resize((width, height), Image.Resampling.BILINEAR)
            pixels[row] = np.asarray(resized).reshape(height, width, channels)
        number = {name: index for index, name in enumerate(self.class_names)}
        labels = np.array([number[label] for label, _ in files], dtype=np.int64)
        return Split(pixels.transpose(0, 3, 1, 2), labels)

    def _refuse_what_is_missing(self) -> None:
        for found, where in ((self._train, TRAIN), (self._test, " or ".join(TEST))):
            if not found:
                raise DataError(f"dataset.folder: no images in {self.folder.absolute()}/{where}/<class>/")
        unknown = sorted({label for label, _ in self._test} - set(self.class_names))
        if unknown:
            raise DataError(
                f"dataset.folder: {self.folder.absolute()} has test images of the class {unknown[0]!r}, "
                "and none to train on"
            )


def _images(folder: Path) -> list[tuple[str, Path]]:
    """Return class and file of each image below `folder`, in the order of their paths."""
    return sorted(
        (place.name, file) for place in _folders(folder) for file in place.rglob("*") if _is_image(file)
    )


def _folders(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from (place for place in folder.iterdir() if place.is_dir() and not place.name.startswith("."))


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and file.is_file()
