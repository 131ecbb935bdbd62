"""Any set of Hugging Face with images of one class each: ``dataset.path=uoft-cs/cifar10``.

`path` is a folder, absolute or in `root`, with parquet files or a tree of images as the package `datasets`
reads them; otherwise it is a name on the hub, ``owner/name``. What comes from the hub is asked for once and
then read from the cache of decoded images: a later commit has no effect, unless `revision` names it.

Columns are found by what they hold, an image and a class. Images come out as `fl_backdoor.data.stretched`
says; classes are numbered as in the set.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from fl_backdoor.data import cache as decoded
from fl_backdoor.data.dataset import Dataset, Source, Split
from fl_backdoor.data.download import unreachable
from fl_backdoor.data.named_images import NamedImages, class_number, files_below, refuse_unlabelled
from fl_backdoor.errors import ConfigError, DataError
from fl_backdoor.types import PositiveCount

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
        Names of columns; null: the only one of images, the only one of classes. A column of whole numbers is
        a column of classes if it is named.
    root, cache, size, channels
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
        root: str | None = None,
        cache: str | None = None,
        size: PositiveCount = 32,
        channels: Literal[1, 3] = 3,
    ) -> None:
        self.path, self.config, self.revision = path, config, revision
        self.asked = {"train": train, "test": test, "image": image, "label": label}
        chosen = {"path": path, "config": config, "revision": revision, **self.asked}
        super().__init__(
            Path(path).name, chosen, root=root, cache=cache, download=True, size=size, channels=channels
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
        with self._place() as place:
            builder = self._prepared(place)
            columns = [self._image_column(builder), self._label_column(builder)]
            names = getattr(builder.info.features[columns[1]], "names", None)
            train, test = (
                self._read(builder, which, known, columns)
                for which, known in (("train", TRAIN), ("test", TEST))
            )
            return self.together(train, test, names)

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
    def _place(self) -> Iterator[str | None]:
        """Say where `datasets` may copy to: its own cache; for a folder, one that is removed."""
        if not self.folder.is_dir():
            yield None
            return
        with decoded.writing(self.cache):
            temporary = TemporaryDirectory(prefix=".huggingface-", dir=self.cache)
        with temporary as place:
            yield place

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

    def _image_column(self, builder: Any) -> str:  # noqa: ANN401
        from datasets import Image

        features = builder.info.features
        column = self._column(features, "image", Image)
        if not isinstance(features[column], Image):
            raise ConfigError("dataset.image", column, f"must be a column of images, not {features[column]}")
        return column

    def _label_column(self, builder: Any) -> str:  # noqa: ANN401
        from datasets import ClassLabel

        features = builder.info.features
        column = self._column(features, "label", ClassLabel)
        kind = features[column]
        if not isinstance(kind, ClassLabel) and "int" not in str(getattr(kind, "dtype", "")):
            raise ConfigError(
                "dataset.label", column, f"must be a column of classes or whole numbers, not {kind}"
            )
        return column

    def _column(self, features: Any, which: str, kind: type[Any]) -> str:  # noqa: ANN401
        asked = self.asked[which]
        found = [name for name, feature in features.items() if isinstance(feature, kind)]
        if asked in features or (asked is None and len(found) == 1):
            return asked or found[0]
        many = f"{self.path} has several columns of type {kind.__name__}, name one: {', '.join(found)}"
        none = f"{self.path} has no column of type {kind.__name__}, name one: {', '.join(features)}"
        missing = f"no such column in {self.path}; its columns: {', '.join(features)}"
        raise ConfigError(f"dataset.{which}", asked, missing if asked else many if found else none)

    def _read(self, builder: Any, which: str, known: tuple[str, ...], columns: list[str]) -> Split:  # noqa: ANN401
        name = self._split_name(which, known, list(builder.info.splits))
        try:
            rows = builder.as_dataset(split=name).select_columns(columns)
        except ValueError as error:
            raise ConfigError(f"dataset.{which}", name, " ".join(str(error).split())) from error
        split = self.stretched(which, len(rows), _labelled(rows, *columns))
        refuse_unlabelled(split, f"dataset.{which}", name)
        return split

    def _split_name(self, which: str, known: tuple[str, ...], present: list[str]) -> str:
        asked = self.asked[which]
        name = asked or next((name for name in known if name in present), "")
        if name.partition("[")[0] not in present:
            sort = "training" if which == "train" else "test"
            raise ConfigError(
                f"dataset.{which}",
                asked,
                f"no such {sort} split in {self.path}; its splits: {', '.join(present)}",
            )
        return name


def _labelled(rows: Any, image: str, label: str) -> "Iterator[tuple[Image, int]]":  # noqa: ANN401
    # Batches of encoded images: row by row it takes twice as long.
    from datasets import Image

    for batch in rows.cast_column(image, Image(decode=False)).iter(BATCH_SIZE):
        for encoded, number in zip(batch[image], batch[label], strict=True):
            yield Image().decode_example(encoded), class_number(number)
