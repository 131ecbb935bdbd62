"""What every data set is: training and test samples, decoded once and memory-mapped from a cache.

Nothing heavy is imported here or at the top of a data set's module: checks of a configuration import them to
see how many classes there are.
"""

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.errors import ConfigError, DataError, FlBackdoorError
from fl_backdoor.data import cache
from fl_backdoor.data.contents import Checksum, Contents, fingerprint_of
from fl_backdoor.data.download import download, unreachable
from fl_backdoor.data.moments import OWN, Moments, kept

if TYPE_CHECKING:
    import torch

    from fl_backdoor.data.samples import Samples

ROOT_VARIABLE = "FL_BACKDOOR_DATA"

SPLITS = ("train", "test")


@dataclass(frozen=True, eq=False)
class Split:
    """Samples and labels, row by row.

    Parameters
    ----------
    samples
        Images, uint8 ``(n, channels, height, width)``, 0 to 255; or sentences, int32 ``(n, num_tokens)``, the
        numbers of their words.
    labels
        int64 ``(n,)``, class numbers from 0.
    """

    samples: NDArray[Any]
    labels: NDArray[np.int64]

    @cached_property
    def digest(self) -> str:
        """16 hexadecimal digits that follow from samples and labels in their order."""
        found = hashlib.sha256()
        for array in (self.samples, self.labels):
            found.update(f"{array.dtype.str} {array.shape}".encode())
            found.update(np.ascontiguousarray(array).data)
        return found.hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training set, which is split over the clients, and a test set, which the server evaluates on.

    `extra` is what else is decoded from the source, by name: arrays that are cached with the samples.
    `contents` says which data they are; None until they are loaded.
    """

    train: Split
    test: Split
    extra: cache.Arrays = field(default_factory=dict)
    contents: Contents | None = None


@dataclass(frozen=True)
class Source:
    """Where the samples of a data set are decoded from.

    Parameters
    ----------
    folder
        Where the files lie.
    files
        At least one, in and below `folder`.
    checksum
        How their bytes are summed up: as in `LabelledDataset.published`.
    """

    folder: Path
    files: tuple[Path, ...]
    checksum: Checksum = "sha256"

    def fingerprint(self, remembered: Path) -> str:
        """Return 16 hexadecimal digits that follow from names and bytes; see `contents.fingerprint_of`."""
        return fingerprint_of(self.folder, self.files, self.checksum, remembered)


class LabelledDataset(ABC):
    """Base of the data sets; a subclass says what it is, where it is found, and how it is decoded.

    Parameters
    ----------
    root
        Folder with the data. Null: the environment variable FL_BACKDOOR_DATA, otherwise ``./data``.
    cache
        Folder for the decoded samples. Null: ``fl_backdoor`` in $XDG_CACHE_HOME, otherwise in ``~/.cache``.
    download
        Whether a data set that is not there may be downloaded to `root`.

    Notes
    -----
    Attributes, of the class where they are known beforehand: `name`; `num_classes` and `class_names`, in the
    order of their numbers; `sample_shape` and `sample_type`, of one sample; `num_train` and `num_test`, the
    numbers of samples; `wanted`, what is looked for in `root`, in words. Of each kind of samples: `kind`,
    what they are, in the plural; `goes_with`, choices of model, trigger and augmentation; `instead`, what
    else a user who lacks the data can do. `published` holds the fingerprints of the files that everybody
    means by the set's name: runs on any others are told apart by what is in them.
    """

    kind: ClassVar[str]
    goes_with: ClassVar[Mapping[str, str]]
    instead: ClassVar[str]
    sample_type: ClassVar[type[np.generic]]
    published: ClassVar[frozenset[str]] = frozenset()

    name: str
    num_classes: int
    class_names: tuple[str, ...]
    num_train: int
    num_test: int
    wanted: str

    def __init__(self, *, root: str | None = None, cache: str | None = None, download: bool = True) -> None:
        self.root_is_named = bool(root or os.environ.get(ROOT_VARIABLE))
        self.root = root_folder(root)
        self.cache = Path(cache).expanduser() if cache else default_cache()
        self.download = download

    @property
    def cached_as(self) -> str:
        """What the cache's folders of this data set begin with; whatever is decoded otherwise has another."""
        return self.name

    @property
    @abstractmethod
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of one sample."""

    @abstractmethod
    def described(self) -> dict[str, Any]:
        """Return what models and triggers are told of the samples, by the names of their parameters."""

    @abstractmethod
    def in_words(self) -> str:
        """Return the description in a few words, equal where models and triggers can be the same."""

    def prepared(self) -> str:
        """Return the description, and what else machines with data of their own must have in common."""
        return self.in_words()

    @abstractmethod
    def on_device(self, split: Split, device: "torch.device") -> "Samples":
        """Put samples on a device, all of them counting."""

    @abstractmethod
    def draw(
        self,
        path: Path,
        clean: NDArray[Any],
        triggered: NDArray[Any],
        true_names: Sequence[str],
        target_name: str,
    ) -> None:
        """Draw some test samples, without and with the trigger; see `fl_backdoor.runs.figures`."""

    @abstractmethod
    def locate(self) -> Source | None:
        """Return what is there to decode, even if it is incomplete; None if there is nothing."""

    @abstractmethod
    def decode(self, source: Source) -> Dataset:
        """Return the samples that `source` holds; any exception counts as damage to the source."""

    def url(self) -> str | None:
        """Return the address of a file of the download; None if the data set cannot be downloaded."""
        return None

    def fetch(self, folder: Path) -> Path:
        """Download into the empty `folder`, and return the path in it that belongs into `root`."""
        raise NotImplementedError(f"{self.name} has a url() and no fetch()")

    def natural_ids(self, column: str) -> NDArray[np.int64]:
        """Return who each training sample comes from, int64 ``(n,)``, as `column` tells it.

        Raises
        ------
        ConfigError
            If there is no such column.
        DataError
            As `load`.
        """
        reason = f"{self.name} has no columns; sets of Hugging Face and tables of texts have"
        raise ConfigError("partition.column", column, reason)

    def load(self) -> Dataset:
        """Return the samples, memory-mapped and read-only; decode or download them first if need be.

        Raises
        ------
        DataError
            If the data set is absent, incomplete or damaged, or the cache cannot be written.
        """
        source = self.locate()
        found = self._cached_alone() if source is None else None
        if found is None:
            found = self._open(source or self._download())
        fingerprint, arrays = found
        train, test = (Split(arrays[f"{which}_{self.kind}"], arrays[f"{which}_labels"]) for which in SPLITS)
        extra = {name: array for name, array in arrays.items() if not name.startswith(SPLITS)}
        return Dataset(train, test, extra, self._contents(fingerprint))

    def contents(self) -> Contents | None:
        """Return which data `load` would return, decoding nothing; None if it would download them first.

        Raises
        ------
        DataError
            If a file cannot be read.
        """
        source = self.locate()
        if source is not None:
            return self._contents(source.fingerprint(self.cache))
        found = self._cached_alone()
        return found and self._contents(found[0])

    def _contents(self, fingerprint: str) -> Contents:
        return Contents(fingerprint, fingerprint in self.published)

    def missing(self) -> str | None:
        """Say what `load` lacks; None if there are samples on disk, in the cache, or to be downloaded."""
        return None if self.is_here() else self._absence()

    def is_here(self) -> bool:
        """Return whether there are samples on disk or in the cache."""
        return self.locate() is not None or self._cached_alone() is not None

    def _cached_alone(self) -> cache.Named | None:
        # Where the user says which folder to take, a copy of some other folder would be a lie.
        return None if self.root_is_named else cache.newest(self.cache, self.cached_as)

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
            remedy = f"set dataset.root or {ROOT_VARIABLE} to its folder{self.instead}"
            raise DataError(f"{reason}; {remedy}")
        return self._downloaded()

    def _downloaded(self) -> Source:
        download(self.root, self.fetch)
        source = self.locate()
        if source is None:
            raise DataError(f"{self.name}: downloaded, but no {self.wanted} in {self.root.absolute()}")
        return source

    def _open(self, source: Source) -> cache.Named:
        fingerprint = source.fingerprint(self.cache)
        folder = self.cache / f"{self.cached_as}-{fingerprint}"
        return fingerprint, cache.open_or_create(folder, lambda: self._decode_checked(source))

    def _decode_checked(self, source: Source) -> cache.Arrays:
        try:
            dataset = self.decode(source)
            self._check("training", dataset.train, self.num_train)
            self._check("test", dataset.test, self.num_test)
        except FlBackdoorError:  # the decoder knows better what is wrong
            raise
        except Exception as error:  # whatever a decoder makes of a broken file
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise DataError(
                f"{self.name}: {source.folder} is incomplete or damaged ({reason}); "
                f"replace it, or set dataset.root or {ROOT_VARIABLE} to another folder"
            ) from error
        return {
            **self._arrays("train", dataset.train),
            **self._arrays("test", dataset.test),
            **dataset.extra,
        }

    def _arrays(self, which: str, split: Split) -> cache.Arrays:
        return {f"{which}_{self.kind}": split.samples, f"{which}_labels": split.labels}

    def _check(self, which: str, split: Split, expected: int) -> None:
        if len(split.samples) != expected or len(split.labels) != expected:
            found = f"{len(split.samples)} {which} {self.kind} and {len(split.labels)} labels"
            raise ValueError(f"{found}, {expected} expected")
        if split.samples.shape[1:] != self.sample_shape or split.samples.dtype != self.sample_type:
            raise ValueError(f"{which} {self.kind} are {split.samples.dtype} {split.samples.shape[1:]}")
        if split.labels.min() < 0 or split.labels.max() >= self.num_classes:
            raise ValueError(f"{which} labels are not all in 0 to {self.num_classes - 1}")


class ImageDataset(LabelledDataset):
    """Base of the data sets of images.

    Notes
    -----
    Attributes besides those of `LabelledDataset`: `image_shape` ``(channels, height, width)``; `mean` and
    `std` of each channel of the training images in [0, 1], or ``own``: see `fl_backdoor.data.moments`.
    """

    kind = "images"
    goes_with: ClassVar = {
        "model": "model=cnn",
        "attack.trigger": "attack/trigger=bar",
        "augmentation": "augmentation=crop_flip",
    }
    instead = ", or take dataset=mnist5k"
    sample_type = np.uint8

    image_shape: tuple[int, int, int]
    mean: tuple[float, ...] | Literal["own"]
    std: tuple[float, ...] | Literal["own"]

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Channels, height, width."""
        return self.image_shape

    def described(self) -> dict[str, Any]:
        """Return the shape of images."""
        return {"image_shape": self.image_shape}

    def in_words(self) -> str:
        """Return the shape of images."""
        return "x".join(map(str, self.image_shape))

    def prepared(self) -> str:
        """Return the shape, and the numbers by which images are normalised if they follow from images."""
        if OWN not in (self.mean, self.std):
            return self.in_words()
        numbers = [",".join(f"{one:.6f}" for one in of) for of in (self.moments.mean, self.moments.std)]
        return f"{self.in_words()}, mean {numbers[0]}, std {numbers[1]}"

    @cached_property
    def moments(self) -> Moments:
        """The numbers by which images are normalised; raises like `load` if they follow from the images."""
        mean, std = self.mean, self.std
        if not (mean == OWN or std == OWN):  # noqa: PLR1714 - mypy follows this
            return Moments(mean, std)
        data = self.load()
        assert data.contents is not None
        place = self.cache / f"moments-{self.cached_as}-{data.contents.fingerprint}"
        own = kept(place, data.train.samples)
        return Moments(own.mean if mean == OWN else mean, own.std if std == OWN else std)

    def on_device(self, split: Split, device: "torch.device") -> "Samples":
        """Put images on a device, as uint8."""
        from fl_backdoor.data.samples import images_on_device

        mean, std = self.moments.mean, self.moments.std
        return images_on_device(split.samples, split.labels, mean, std, device)

    def draw(
        self,
        path: Path,
        clean: NDArray[np.uint8],
        triggered: NDArray[np.uint8],
        true_names: Sequence[str],
        target_name: str,
    ) -> None:
        """Draw images, enlarged."""
        from fl_backdoor.runs.figures import draw_images

        draw_images(path, clean, triggered, true_names, target_name)


def root_folder(root: str | None) -> Path:
    """Return the folder with the data, where the setting `root` is this."""
    return Path(root or os.environ.get(ROOT_VARIABLE) or "data").expanduser()


def default_cache() -> Path:
    """Return the folder ``fl_backdoor`` in the user's folder for caches."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fl_backdoor"
