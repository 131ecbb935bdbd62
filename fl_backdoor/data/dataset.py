"""What every data set is: training and test images, decoded once and memory-mapped from a cache.

Nothing heavy is imported here or at the top of a data set's module: checks of a configuration import them to
see how many classes there are.
"""

import hashlib
import json
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.data import cache
from fl_backdoor.data.download import download, unreachable
from fl_backdoor.errors import DataError

ROOT_VARIABLE = "FL_BACKDOOR_DATA"


@dataclass(frozen=True, eq=False)
class Split:
    """Images and labels, row by row.

    Parameters
    ----------
    images
        uint8 ``(n, channels, height, width)``, 0 to 255.
    labels
        int64 ``(n,)``, class numbers from 0.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training set, which is split over the clients, and a test set, which the server evaluates on."""

    train: Split
    test: Split


@dataclass(frozen=True)
class Source:
    """Where the images of a data set are decoded from.

    Parameters
    ----------
    files
        At least one.
    version
        Version of the package that the files belong to, if they belong to one.
    """

    files: tuple[Path, ...]
    version: str = ""

    @property
    def folder(self) -> Path:
        """The folder of the first file."""
        return self.files[0].parent

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that follow from the files' names and sizes, and the version."""
        known = [self.version, sorted((file.name, file.stat().st_size) for file in self.files)]
        return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:16]


class ImageDataset(ABC):
    """Base of the data sets; a subclass says what it is, where it is found, and how it is decoded.

    Parameters
    ----------
    root
        Folder with the data. Null: the environment variable FL_BACKDOOR_DATA, otherwise ``./data``.
    cache
        Folder for the decoded images. Null: ``fl_backdoor`` in $XDG_CACHE_HOME, otherwise in ``~/.cache``.
    download
        Whether a data set that is not there may be downloaded to `root`.

    Notes
    -----
    Attributes, of the class where they are known beforehand: `name`; `num_classes` and `class_names`, in the
    order of their numbers; `image_shape` ``(channels, height, width)``; `mean` and `std` of each channel of
    the training images in [0, 1]; `num_train` and `num_test`, the numbers of images; `wanted`, what is looked
    for in `root`, in words.
    """

    name: str
    num_classes: int
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    num_train: int
    num_test: int
    wanted: str

    def __init__(self, *, root: str | None = None, cache: str | None = None, download: bool = True) -> None:
        named = root or os.environ.get(ROOT_VARIABLE)
        self.root_is_named = bool(named)
        self.root = Path(named or "data").expanduser()
        self.cache = Path(cache).expanduser() if cache else default_cache()
        self.download = download

    @abstractmethod
    def locate(self) -> Source | None:
        """Return what is there to decode, even if it is incomplete; None if there is nothing."""

    @abstractmethod
    def decode(self, source: Source) -> Dataset:
        """Return the images that `source` holds; any exception counts as damage to the source."""

    def url(self) -> str | None:
        """Return the address of a file of the download; None if the data set cannot be downloaded."""
        return None

    def fetch(self, folder: Path) -> Path:
        """Download into the empty `folder`, and return the path in it that belongs into `root`."""
        raise NotImplementedError(f"{self.name} has a url() and no fetch()")

    def load(self) -> Dataset:
        """Return the images, memory-mapped and read-only; decode or download them first if need be.

        Raises
        ------
        DataError
            If the data set is absent, incomplete or damaged, or the cache cannot be written.
        """
        source = self.locate()
        arrays = self._cached_alone() if source is None else None
        if arrays is None:
            source = source or self._download()
            arrays = self._open(source)
        return Dataset(
            train=Split(arrays["train_images"], arrays["train_labels"]),
            test=Split(arrays["test_images"], arrays["test_labels"]),
        )

    def missing(self) -> str | None:
        """Say what `load` lacks; None if there are images on disk, in the cache, or to be downloaded."""
        if self.locate() is not None or self._cached_alone() is not None:
            return None
        return self._absence()

    def _cached_alone(self) -> cache.Arrays | None:
        # Where the user says which folder to take, a copy of some other folder would be a lie.
        return None if self.root_is_named else cache.newest(self.cache, self.name)

    def _absence(self) -> str | None:
        reason = self._no_download()
        return reason and f"{self.name}: no {self.wanted} in {self.root.absolute()}, and {reason}"

    def _no_download(self) -> str | None:
        if not self.download:
            return "dataset.download is false"
        url = self.url()
        return "it cannot be downloaded" if url is None else unreachable(url)

    def _download(self) -> Source:
        reason = self._absence()
        if reason:
            remedy = f"set dataset.root or {ROOT_VARIABLE} to its folder, or take dataset=mnist5k"
            raise DataError(f"{reason}; {remedy}")
        download(self.root, self.fetch)
        source = self.locate()
        if source is None:
            raise DataError(f"{self.name}: downloaded, but no {self.wanted} in {self.root.absolute()}")
        return source

    def _open(self, source: Source) -> cache.Arrays:
        return cache.open_or_create(
            self.cache / f"{self.name}-{source.fingerprint}", lambda: self._decode_checked(source)
        )

    def _decode_checked(self, source: Source) -> cache.Arrays:
        try:
            dataset = self.decode(source)
            self._check("training", dataset.train, self.num_train)
            self._check("test", dataset.test, self.num_test)
        except Exception as error:  # whatever a decoder makes of a broken file
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise DataError(
                f"{self.name}: {source.folder} is incomplete or damaged ({reason}); "
                f"replace it, or set dataset.root or {ROOT_VARIABLE} to another folder"
            ) from error
        return {
            "train_images": dataset.train.images,
            "train_labels": dataset.train.labels,
            "test_images": dataset.test.images,
            "test_labels": dataset.test.labels,
        }

    def _check(self, which: str, split: Split, expected: int) -> None:
        if len(split.images) != expected or len(split.labels) != expected:
            raise ValueError(
                f"{len(split.images)} {which} images and {len(split.labels)} labels, {expected} expected"
            )
        if split.images.shape[1:] != self.image_shape or split.images.dtype != np.uint8:
            raise ValueError(f"{which} images are {split.images.dtype} {split.images.shape[1:]}")
        if split.labels.min() < 0 or split.labels.max() >= self.num_classes:
            raise ValueError(f"{which} labels are not all in 0 to {self.num_classes - 1}")


def default_cache() -> Path:
    """Return the folder ``fl_backdoor`` in the user's folder for caches."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fl_backdoor"
