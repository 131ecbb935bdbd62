"""Any set of Hugging Face with images of one class each: ``dataset.path=uoft-cs/cifar10``.

`path` is a folder, absolute or in `root`, with parquet files or a tree of images as the package `datasets`
reads them; otherwise it is a name on the hub, ``owner/name``. What comes from the hub is asked for once and
then read from the cache of decoded images: a later commit has no effect, unless `revision` names it.

Columns are found by what they hold, an image and a class. Images come out as `fl_backdoor.data.stretched`
says; classes are numbered as in the set, and names without numbers in their order. Only bytes are decoded,
and the files of a tree of images: a cell that names another file, or an address, is refused.
"""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.errors import ConfigError, DataError
from fl_backdoor.core.foreign_text import cleaned
from fl_backdoor.core.types import OpenShare, PositiveCount
from fl_backdoor.data import cache as decoded
from fl_backdoor.data import natural_ids
from fl_backdoor.data.dataset import Dataset, Source, Split
from fl_backdoor.data.download import unreachable
from fl_backdoor.data.holdout import ADVICE, KEY, held_back
from fl_backdoor.data.label_column import LabelColumn, is_of_ids, label_column
from fl_backdoor.data.moments import Given
from fl_backdoor.data.named_images import NamedImages, files_below, refuse_unlabelled
from fl_backdoor.data.stretched import named, readable

if TYPE_CHECKING:
    from PIL.Image import Image

TRAIN, TEST = ("train",), ("test", "validation", "valid", "val", "dev")
"""Names of splits, the preferred ones first."""

OFFLINE = "HF_HUB_OFFLINE"
"""Hugging Face's variable: nothing is asked of the hub, and its own cache is used."""

NAME = re.compile(r"\w[\w.-]*/[\w.-]+")

BATCH_SIZE = 1_000


class HuggingFace(NamedImages):
    """A set of Hugging Face; see the module and `NamedImages`.

    Parameters
    ----------
    path
        A folder, from `root` or absolute, or a name on the hub.
    config
        Which configuration of the set; null: the only one.
    revision
        Commit, branch or tag on the hub; null: the latest.
    train, test
        Names of splits, or slices of them such as ``train[:80%]``; null: found by their names.
    image, label
        Names of columns; null: the only one of images, the only one of classes, otherwise ``label``. A column
        of whole numbers, names or truth values is one of classes if it is named, here or there.
    test_share
        Without a test split, the share of each class's training images that is held back for testing, the
        same ones for every seed; null: there must be a test split.
    root, cache, size, channels, mean, std
        As in `StretchedImages`.
    """

    name = "huggingface"
    instead = f", set {OFFLINE}=1 to take what Hugging Face's own cache has, or take dataset=mnist5k"

    def __init__(
        self,
        *,
        path: str,
        config: str | None = None,
        revision: str | None = None,
        train: str | None = None,
        test: str | None = None,
        image: str | None = None,
        label: str | None = None,
        test_share: OpenShare | None = None,
        root: str | None = None,
        cache: str | None = None,
        size: PositiveCount = 32,
        channels: Literal[1, 3] = 3,
        mean: Given = None,
        std: Given = None,
    ) -> None:
        self.path, self.config, self.revision = path, config, revision
        self.asked = {"train": train, "test": test, "image": image, "label": label}
        self.test_share = test_share
        chosen = {
            "path": path,
            "config": config,
            "revision": revision,
            **self.asked,
            "test_share": test_share,
        }
        super().__init__(
            Path(path).name,
            chosen,
            root=root,
            cache=cache,
            download=True,
            size=size,
            channels=channels,
            mean=mean,
            std=std,
        )
        self.folder = self.root / Path(path).expanduser()
        self.wanted = f"{path}/ with files"

    @property
    def cached_as(self) -> str:
        """Besides the settings, whether this is a folder: one of a name on the hub is another set."""
        return f"{super().cached_as}-{'folder' if self.folder.is_dir() else 'hub'}"

    def locate(self) -> Source | None:
        """Return all files of the folder, if it is one."""
        return files_below([self.folder], self.folder) if self.folder.is_dir() else None

    def decode(self, source: Source) -> Dataset:
        """Return the images that `datasets` reads, of one shape."""
        with self._temporary() as temporary:
            builder = self._prepared(temporary)
            image = self._image_column(builder)
            label = self._column(builder.info.features, "label")
            rows = self._rows(builder, "train", TRAIN)
            classes = label_column(label, builder.info.features[label], rows)
            train = self._split("train", rows, image, classes, self._tree(builder, temporary))
            if self.test_share is None:
                rows = self._rows(builder, "test", TEST)
                test = self._split("test", rows, image, classes, self._tree(builder, temporary))
            else:
                train, test = self._divided(train, builder)
            return self.together(train, test, classes.names)

    def natural_ids(self, column: str) -> NDArray[np.int64]:
        """Return who each training image comes from, as a column of whole numbers or text tells it."""
        return natural_ids.kept(self, column, lambda: self._cells(column))

    def _cells(self, column: str) -> list[object]:
        """Return a column's cells of the training images, without those that are held back for testing."""
        with self._temporary() as temporary:
            builder = self._prepared(temporary)
            features = builder.info.features
            if not is_of_ids(features.get(column)):
                raise natural_ids.refused(column, self.path, list(features))
            rows = self._rows(builder, "train", TRAIN)
            cells: list[object] = rows.select_columns([column])[:][column]
            if self.test_share is None:
                return cells
            label = self._column(features, "label")
            classes = label_column(label, features[label], rows)
            labels = [classes.number(one) for one in rows.select_columns([label])[:][label]]
            is_test = held_back(labels, self.test_share)
            return [cell for cell, tested in zip(cells, is_test, strict=True) if not tested]

    def _cached_alone(self) -> decoded.Named | None:
        # Where data lie has no say in what a name on the hub means.
        return None if self.folder.is_dir() else decoded.newest(self.cache, self.cached_as)

    def _no_download(self) -> str | None:
        if self.folder.is_dir() or not NAME.fullmatch(self.path):
            return "it is no owner/name on Hugging Face's hub either"
        import datasets

        # Asked first: the package itself would try for half a minute, and tell of each attempt.
        return None if datasets.config.HF_HUB_OFFLINE else unreachable(datasets.config.HF_ENDPOINT)

    def _downloaded(self) -> Source:
        builder = self._prepared(None)
        folder = Path(builder.cache_dir)
        # The file that describes them says when they were downloaded.
        return Source(folder, tuple(sorted(folder.glob("*.arrow"))))

    @contextmanager
    def _temporary(self) -> Iterator[str | None]:
        """Say where `datasets` may copy to: its own cache; for a folder, one that is removed."""
        if not self.folder.is_dir():
            yield None
            return
        with decoded.writing(self.cache):
            temporary = TemporaryDirectory(prefix=".huggingface-", dir=self.cache)
        with temporary as folder:
            yield folder

    def _prepared(self, cache_dir: str | None) -> Any:  # noqa: ANN401 - datasets is not typed
        import datasets

        if not sys.stderr.isatty():
            datasets.disable_progress_bars()
        # Without its scheme a name might be taken for a folder below the current one.
        where = str(self.folder) if self.folder.is_dir() else f"hf://datasets/{self.path}"
        try:
            builder = datasets.load_dataset_builder(
                where, self.config, revision=self.revision, cache_dir=cache_dir
            )
            builder.download_and_prepare()
        except Exception as error:  # each format fails in its own way
            reason = " ".join(f"{type(error).__name__}: {error.__cause__ or error}".split())
            raise DataError(
                f"dataset.path: Hugging Face's datasets cannot read {where} ({reason}); "
                "see dataset.path, dataset.config and dataset.revision"
            ) from error
        return builder

    def _tree(self, builder: Any, temporary: str | None) -> tuple[Path, ...]:  # noqa: ANN401
        """Return the folders whose files may be images by their paths: those of a tree of images."""
        import datasets
        from datasets.packaged_modules.folder_based_builder.folder_based_builder import FolderBasedBuilder
        from huggingface_hub.constants import HF_HUB_CACHE

        if not isinstance(builder, FolderBasedBuilder):
            return ()
        if temporary is None:
            return Path(datasets.config.HF_DATASETS_CACHE), Path(HF_HUB_CACHE)
        return self.folder, Path(temporary)

    def _image_column(self, builder: Any) -> str:  # noqa: ANN401
        from datasets import Image

        features = builder.info.features
        column = self._column(features, "image")
        if not isinstance(features[column], Image):
            raise ConfigError("dataset.image", column, f"must be a column of images, not {features[column]}")
        return column

    def _column(self, features: Any, which: Literal["image", "label"]) -> str:  # noqa: ANN401
        from datasets import ClassLabel, Image

        kind, asked = {"image": Image, "label": ClassLabel}[which], self.asked[which]
        found = [name for name, feature in features.items() if isinstance(feature, kind)]
        if not found and which in features:
            found = [which]
        if asked in features or (asked is None and len(found) == 1):
            return asked or found[0]
        many = f"{self.path} has several columns of type {kind.__name__}, name one: {', '.join(found)}"
        none = f"{self.path} has no column of type {kind.__name__}, name one: {', '.join(features)}"
        missing = f"no such column in {self.path}; its columns: {', '.join(features)}"
        raise ConfigError(f"dataset.{which}", asked, missing if asked else many if found else none)

    def _rows(self, builder: Any, which: str, known: tuple[str, ...]) -> Any:  # noqa: ANN401
        name = self._split_name(which, known, list(builder.info.splits))
        try:
            return builder.as_dataset(split=name)
        except ValueError as error:
            raise ConfigError(f"dataset.{which}", name, " ".join(str(error).split())) from error

    def _split(
        self,
        which: str,
        rows: Any,  # noqa: ANN401
        image: str,
        classes: LabelColumn,
        tree: tuple[Path, ...],
    ) -> Split:
        split = self.stretched(which, len(rows), _labelled(rows, image, classes, tree))
        refuse_unlabelled(split, f"dataset.{which}", self.asked[which] or str(rows.split))
        return split

    def _divided(self, whole: Split, builder: Any) -> tuple[Split, Split]:  # noqa: ANN401
        """Return the training images, and those of them that are held back for testing."""
        assert self.test_share is not None
        own = self.asked["test"] or next((name for name in TEST if name in builder.info.splits), None)
        if own is not None:
            raise ConfigError(KEY, self.test_share, f"{self.path} has the test split {own}; leave this out")
        is_test = held_back(whole.labels, self.test_share)
        train, test = (Split(whole.samples[rows], whole.labels[rows]) for rows in (~is_test, is_test))
        return train, test

    def _split_name(self, which: str, known: tuple[str, ...], present: list[str]) -> str:
        asked = self.asked[which]
        name = asked or next((name for name in known if name in present), "")
        if name.partition("[")[0] not in present:
            sort, advice = ("training", "") if which == "train" else ("test", f"; {ADVICE}")
            raise ConfigError(
                f"dataset.{which}",
                asked,
                f"no such {sort} split in {self.path}; its splits: {', '.join(present)}{advice}",
            )
        return name


def _labelled(
    rows: Any,  # noqa: ANN401
    image: str,
    classes: LabelColumn,
    tree: tuple[Path, ...],
) -> "Iterator[tuple[Image, int]]":
    # Batches of encoded images: row by row it takes twice as long.
    from datasets import Image

    number = 0
    cells = rows.select_columns([image, classes.column]).cast_column(image, Image(decode=False))
    for batch in cells.iter(BATCH_SIZE):
        for encoded, label in zip(batch[image], batch[classes.column], strict=True):
            number += 1
            yield _decoded(encoded, f"{rows.split}, row {number}", tree), classes.number(label)


def _decoded(cell: Any, row: str, tree: tuple[Path, ...]) -> "Image":  # noqa: ANN401
    """Return the image whose bytes a cell holds, or whose file in a tree of images it names."""
    from PIL import ExifTags, Image, ImageOps

    encoded, path = (cell or {}).get("bytes"), str((cell or {}).get("path") or "")
    is_of_the_tree = encoded is None and any(_is_below(path, folder) for folder in tree)
    if encoded is None and not is_of_the_tree:
        fault = f"names {cleaned(readable(path))} in place of an image" if path else "holds no image"
        raise DataError(f"dataset.path: {row} {fault}; only bytes are read, and files of a tree of images")
    with named(path if is_of_the_tree else row):
        image = Image.open(BytesIO(encoded or Path(path).read_bytes()))
        image.load()
        if image.getexif().get(ExifTags.Base.Orientation) is not None:
            return ImageOps.exif_transpose(image)
        return image


def _is_below(path: str, folder: Path) -> bool:
    """Return whether a path lies in a folder by its name; what links in there lead to is its owner's say."""
    return bool(path) and Path(os.path.normpath(path)).is_relative_to(os.path.normpath(folder.absolute()))
