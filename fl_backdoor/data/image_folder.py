"""A folder of images for each class, below ``train`` and ``test``, as torchvision's ImageFolder takes them.

``<root>/<folder>/train/<class>/*.png`` and ``<root>/<folder>/test/<class>/*.png``, or ``val`` in the place
of ``test``, at any depth below the class. Classes are numbered in the order of their names. Images are of any
size and of any format that Pillow reads, see `fl_backdoor.data.stretched`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fl_backdoor.data.dataset import Dataset, Source, Split
from fl_backdoor.data.stretched import StretchedImages
from fl_backdoor.errors import DataError
from fl_backdoor.types import PositiveCount

if TYPE_CHECKING:
    from PIL.Image import Image

TRAIN = "train"
TEST = ("test", "val")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp"})


class ImageFolder(StretchedImages):
    """A tree of images; see the module and `StretchedImages`.

    Parameters
    ----------
    folder
        The tree, from `root` or absolute.
    root, cache, size, channels
        As in `StretchedImages`.

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
        super().__init__(root=root, cache=cache, download=False, size=size, channels=channels)
        self.folder = self.root / Path(folder).expanduser()
        self.wanted = f"{folder}/{TRAIN}/<class>/ with images"
        self._train = _images(self.folder / TRAIN)
        self._test = next(filter(None, (_images(self.folder / name) for name in TEST)), [])
        self.num_train, self.num_test = len(self._train), len(self._test)
        self.class_names = tuple(sorted({label for label, _ in self._train}))
        self.num_classes = len(self.class_names)
        self._refuse_what_is_missing()

    @property
    def cached_as(self) -> str:
        """The name and the shape of images."""
        return f"{self.name}-{self.in_words()}"

    def locate(self) -> Source:
        """Return all images."""
        return Source(self.folder, tuple(file for _, file in (*self._train, *self._test)))

    def decode(self, source: Source) -> Dataset:
        """Return the images, resized."""
        return Dataset(self._split("train", self._train), self._split("test", self._test))

    def _split(self, which: str, files: list[tuple[str, Path]]) -> Split:
        number = {name: index for index, name in enumerate(self.class_names)}
        return self.stretched(which, len(files), ((image, number[label]) for label, image in _opened(files)))

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


def _opened(files: list[tuple[str, Path]]) -> Iterator[tuple[str, "Image"]]:
    from PIL import Image

    for label, file in files:
        with Image.open(file) as image:
            yield label, image


def _folders(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from (place for place in folder.iterdir() if place.is_dir() and not place.name.startswith("."))


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and file.is_file()
