"""Image sets of other people's collections, chosen by name: what they hold is seen when they are decoded."""

import hashlib
import json
import operator
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.data.contents import Contents
from fl_backdoor.data.dataset import Source, Split
from fl_backdoor.data.found_in_data import ClassesInData
from fl_backdoor.data.moments import Given
from fl_backdoor.data.stretched import DECODING, StretchedImages

UNLABELLED = -1
"""What collections write, or here None becomes, where nobody says of which class an image is."""


class NamedImages(ClassesInData, StretchedImages):
    """Base of the sets of images in other people's collections.

    Parameters
    ----------
    called
        The set's name in its collection.
    chosen
        The settings, as plain values, by which other samples would come out of the same set.
    root, cache, download, size, channels, mean, std
        As in `StretchedImages`.
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
        mean: Given = None,
        std: Given = None,
    ) -> None:
        super().__init__(
            root=root, cache=cache, download=download, size=size, channels=channels, mean=mean, std=std
        )
        self.name = f"{type(self).name}_{called}"
        chosen_as = json.dumps([DECODING, self.image_shape, chosen], sort_keys=True)
        self._cached_as = f"{self.name}-{hashlib.sha256(chosen_as.encode()).hexdigest()[:16]}"

    @property
    def cached_as(self) -> str:
        """The name, and what follows from the settings."""
        return self._cached_as

    def contents(self) -> Contents | None:
        """Return which data `load` returns; what is to be downloaded is downloaded first."""
        return super().contents() or self.load().contents


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
