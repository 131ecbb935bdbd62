"""A folder of images for each class, below ``train`` and ``test``, as torchvision's ImageFolder takes them.

``<root>/<folder>/train/<class>/*.png`` and ``<root>/<folder>/test/<class>/*.png``, or ``val``, ``valid`` or
``validation`` in the place of ``test``, at any depth below the class. Each folder is a class; they are
numbered in the order of their names. Images are of any size and of any format that Pillow reads, see
`fl_backdoor.data.stretched`: every file is taken for one but for hidden ones, what file managers leave
behind, and text. One that cannot be read is named; nothing is left out in silence.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fl_backdoor.core.errors import ConfigError, DataError
from fl_backdoor.core.types import OpenShare, PositiveCount
from fl_backdoor.data.dataset import Dataset, Source, Split
from fl_backdoor.data.holdout import ADVICE, KEY, held_back
from fl_backdoor.data.moments import Given
from fl_backdoor.data.stretched import DECODING, StretchedImages, named, readable

if TYPE_CHECKING:
    from PIL.Image import Image

TRAIN = "train"
TEST = ("test", "val", "valid", "validation")

LEFT_BEHIND = frozenset(
    {"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "@eadir", "$recycle.bin", "lost+found"}
)
"""What file managers of macOS, Windows and network storage leave in folders, in lower case."""

TEXT = frozenset(
    {".txt", ".md", ".rst", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".html", ".log"}
)
"""Suffixes of what lies beside images."""

Labelled = list[tuple[str, Path]]
"""The class and the file of each image."""


class ImageFolder(StretchedImages):
    """A tree of images; see the module and `StretchedImages`.

    Parameters
    ----------
    folder
        The tree, from `root` or absolute.
    test_share
        Without test images, the share of each class's training images that is held back for testing, the same
        ones for every seed; null: there must be test images.
    root, cache, size, channels, mean, std
        As in `StretchedImages`.

    Raises
    ------
    DataError
        If there is no such tree, a class has no images to train on, or only in its test images.
    ConfigError
        If `test_share` is given although there are test images, or leaves none to train or test on.
    """

    name = "image_folder"

    def __init__(
        self,
        *,
        folder: str,
        test_share: OpenShare | None = None,
        root: str | None = None,
        cache: str | None = None,
        size: PositiveCount = 32,
        channels: Literal[1, 3] = 3,
        mean: Given = None,
        std: Given = None,
    ) -> None:
        super().__init__(
            root=root, cache=cache, download=False, size=size, channels=channels, mean=mean, std=std
        )
        self.folder = self.root / Path(folder).expanduser()
        self.wanted = f"{folder}/{TRAIN}/<class>/ with images"
        self._cached_as = f"{self.name}-{self.in_words()}-{DECODING}"
        classes = {folder.name: images_below(folder) for folder in _folders(self.folder / TRAIN)}
        self._train: Labelled = [(name, file) for name, files in classes.items() for file in files]
        self._test = self._tested()
        self._refuse_what_is_missing(classes, test_share)
        self._number = {name: number for number, name in enumerate(sorted(classes))}
        if test_share is not None:
            self._hold_back(test_share)
        self.num_train, self.num_test = len(self._train), len(self._test)
        self.class_names = tuple(map(readable, self._number))
        self.num_classes = len(self.class_names)

    @property
    def cached_as(self) -> str:
        """The name, the shape of images, and what share of them is held back."""
        return self._cached_as

    def locate(self) -> Source:
        """Return all images."""
        return Source(self.folder, tuple(file for _, file in (*self._train, *self._test)))

    def decode(self, source: Source) -> Dataset:
        """Return the images, resized."""
        return Dataset(self._split("train", self._train), self._split("test", self._test))

    def _tested(self) -> Labelled:
        """Return the test images, from the first folder that has any."""
        return next(filter(None, (labelled(self.folder / name) for name in TEST)), [])

    def _split(self, which: str, files: Labelled) -> Split:
        opened = ((image, self._number[label]) for label, image in _opened(files))
        return self.stretched(which, len(files), opened)

    def _hold_back(self, share: float) -> None:
        is_test = held_back([self._number[label] for label, _ in self._train], share)
        self._cached_as += f"-{share}"
        self._test = [one for one, tested in zip(self._train, is_test, strict=True) if tested]
        self._train = [one for one, tested in zip(self._train, is_test, strict=True) if not tested]

    def _refuse_what_is_missing(self, classes: dict[str, list[Path]], test_share: float | None) -> None:
        shown = readable(self.folder.absolute())
        if not self._train:
            raise DataError(f"dataset.folder: no images in {shown}/{TRAIN}/<class>/")
        empty = sorted(name for name, files in classes.items() if not files)
        if empty:
            raise DataError(f"dataset.folder: no images of the class {empty[0]!r} in {shown}/{TRAIN}")
        if not self._test and test_share is None:
            where = f"{', '.join(TEST[:-1])} or {TEST[-1]}"
            raise DataError(f"dataset.folder: no images in {shown}/{where}/<class>/; {ADVICE}")
        if self._test and test_share is not None:
            raise ConfigError(KEY, test_share, f"{shown} has test images of its own; leave this out")
        unknown = sorted({label for label, _ in self._test} - set(classes))
        if unknown:
            raise DataError(
                f"dataset.folder: {shown} has test images of the class {readable(unknown[0])!r}, "
                "and none to train on"
            )


def labelled(folder: Path) -> Labelled:
    """Return class and file of each image below `folder`, in the order of their paths."""
    return [(of_class.name, file) for of_class in _folders(folder) for file in images_below(of_class)]


def _folders(folder: Path) -> list[Path]:
    """Return the folders of classes, in the order of their names."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in found if path.is_dir() and _is_shown(path.name))


def images_below(folder: Path) -> list[Path]:
    """Return all images below the folder of a class, in the order of their paths."""
    return sorted(
        Path(parent, name)
        for parent, names in _shown_files(folder)
        for name in names
        if Path(name).suffix.lower() not in TEXT and Path(parent, name).is_file()
    )


def _shown_files(folder: Path) -> Iterator[tuple[str, list[str]]]:
    for parent, inner, files in os.walk(folder, followlinks=False):
        inner[:] = [name for name in inner if _is_shown(name)]
        yield parent, [name for name in files if _is_shown(name)]


def _is_shown(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in LEFT_BEHIND


def _opened(files: Labelled) -> Iterator[tuple[str, "Image"]]:
    from PIL import Image

    for label, file in files:
        with named(file):
            image = Image.open(file)
        with image:
            yield label, image
