"""Image sets of other people's collections, chosen by name: what they hold is seen when they are decoded."""

import hashlib
import json
import operator
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.data.contents import Contents
from fl_backdoor.data.dataset import Dataset, Source, Split
from fl_backdoor.data.stretched import DECODING, StretchedImages
from fl_backdoor.data.text import as_array, as_words

CLASSES = "classes"
"""The array of `Dataset.extra` that holds the names of the classes."""

UNLABELLED = -1
"""What collections write, or here None becomes, where nobody says of which class an image is."""


class NamedImages(StretchedImages):
    """Base of the sets of images in other people's collections.

    Parameters
    ----------
    called
        The set's name in its collection.
    chosen
        The settings, as plain values, by which other samples would come out of the same set.
    root, cache, download, size, channels
        As in `StretchedImages`.

    Notes
    -----
    `num_classes`, `class_names`, `num_train` and `num_test` raise what `load` raises: they are read from the
    decoded samples, so that no process but the one that decodes imports the collection's package.
    """

    def __init__(
        self,
        called: str,
        chosen: Mapping[str, Any],
        *,
        root: str | None,
        cache: str | None,
        download: bool,
        size: int,
        channels: Literal[1, 3],
    ) -> None:
        super().__init__(root=root, cache=cache, download=download, size=size, channels=channels)
        self.name = f"{type(self).name}_{called}"
        told = json.dumps([DECODING, self.image_shape, chosen], sort_keys=True)
        self._cached_as = f"{self.name}-{hashlib.sha256(told.encode()).hexdigest()[:16]}"

    @property
    def cached_as(self) -> str:
        """The name, and what follows from the settings."""
        return self._cached_as

    def contents(self) -> Contents | None:
        """Return which data `load` returns; what is to be downloaded is downloaded first."""
        return super().contents() or self.load().contents

    # mypy takes a cached property for read-only, which it is not.
    @cached_property
    def class_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the classes; their numbers, where the set has no names."""
        return as_words(self.load().extra[CLASSES])

    @cached_property
    def num_classes(self) -> int:  # type: ignore[override]
        """Number of classes."""
        return len(self.class_names)

    @cached_property
    def num_train(self) -> int:  # type: ignore[override]
        """Number of training images."""
        return len(self.load().train.labels)

    @cached_property
    def num_test(self) -> int:  # type: ignore[override]
        """Number of test images."""
        return len(self.load().test.labels)

    def together(self, train: Split, test: Split, class_names: Sequence[str] | None) -> Dataset:
        """Return what was decoded, with the names of its classes or, for want of enough names, numbers."""
        num_classes = 1 + int(max(train.labels.max(), test.labels.max()))
        if class_names is None or len(class_names) < num_classes:
            class_names = list(map(str, range(num_classes)))
        self.class_names = tuple(" ".join(name.split()) for name in class_names)
        self.num_classes = len(self.class_names)
        self.num_train, self.num_test = len(train.labels), len(test.labels)
        return Dataset(train, test, {CLASSES: as_array(self.class_names)})


def files_below(folders: Iterable[Path], inside: Path) -> Source | None:
    """Return all files in folders that lie `inside` another; None if there are none."""
    files = tuple(sorted(file for folder in folders for file in folder.rglob("*") if file.is_file()))
    return Source(inside, files) if files else None


def class_number(label: object) -> int:
    """Return a label as a number; raises TypeError where it is none, for instance a list of several."""
    return UNLABELLED if label is None else operator.index(label)  # type: ignore[arg-type]


def refuse_unlabelled(split: Split, key: str, value: object) -> None:
    """Raise ConfigError if images chosen by the setting `key` are of no class."""
    count = int((split.labels < 0).sum())
    if count:
        raise ConfigError(
            key,
            value,
            f"{count} of these {len(split.labels)} images have no class (label -1); take another part",
        )
