"""CIFAR-10: 60,000 photographs, 50,000 to train and 10,000 to test, ten classes of the same size.

Images are uint8 ``(3, 32, 32)``, red, green, blue, 0 to 255; labels are int64, 0 airplane to 9 truck (5 is
dog). They are read from either of the forms that people have, in `root` or ``root/cifar10``:

- ``cifar-10-batches-py``, as torchvision downloads it (MD5 sums are checked);
- the parquet files of ``uoft-cs/cifar10`` on Hugging Face, in one folder or as its tools lay them out. Their
  order within a split is their own.

Source: https://www.cs.toronto.edu/~kriz/cifar.html
Cite: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", technical report, University of
Toronto, 2009.
"""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.data.dataset import Dataset, ImageDataset, Source, Split
from fl_backdoor.data.progress import with_progress

BATCHES = "cifar-10-batches-py"

PARQUET_FOLDERS = ("", "{config}", "datasets--*--{name}/snapshots/*/{config}")
"""Where Hugging Face's tools put the parquet files: by hand, as a local folder, as a cache."""

BATCH_FILES = (
    *("batches.meta", "data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"),
    *("test_batch", "meta", "test", "train"),
)
"""What torchvision reads of CIFAR-10, and of CIFAR-100."""

PUBLISHED_BATCHES = "f1c51809828e6c09"
PUBLISHED_PARQUET = "4368409d9100d7ab"
"""Fingerprints of torchvision's files, by their published MD5 sums, and of those of ``uoft-cs/cifar10``."""

IMAGE_COLUMNS = ("img", "image")

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
"""What torchvision downloads; asked for here it would cost seconds of imports."""


class Cifar10(ImageDataset):
    """CIFAR-10; see the module and `ImageDataset`.

    `batches` is the folder that torchvision's class `torchvision_name` makes; on Hugging Face labels are in
    `label_column`, and files in the folder `config`.
    """

    name = "cifar10"
    num_classes = 10
    class_names: tuple[str, ...] = (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    )
    image_shape = (3, 32, 32)
    mean = (0.4914, 0.4822, 0.4465)
    std = (0.2470, 0.2435, 0.2616)
    num_train = 50_000
    num_test = 10_000
    wanted = f"{BATCHES}/ or train-*.parquet and test-*.parquet"
    batches: ClassVar[str] = BATCHES
    torchvision_name: ClassVar[str] = "CIFAR10"
    label_column: ClassVar[str] = "label"
    config: ClassVar[str] = "plain_text"
    published: ClassVar[frozenset[str]] = frozenset({PUBLISHED_BATCHES, PUBLISHED_PARQUET})

    def locate(self) -> Source | None:
        """Return the files in either form; torchvision's comes first."""
        for base in (self.root, self.root / self.name):
            batches, parquet = _batch_files(base / self.batches), self._parquet_files(base)
            if batches:
                return Source(base / self.batches, batches, checksum="md5")
            if parquet:
                return Source(parquet[0].parent, parquet)
        return None

    def decode(self, source: Source) -> Dataset:
        """Return the images of either form."""
        if source.folder.name == self.batches:
            root = source.folder.parent
            return Dataset(self._read_batches(root, train=True), self._read_batches(root, train=False))
        return Dataset(
            _read_parquet(source, "train", self.label_column),
            _read_parquet(source, "test", self.label_column),
        )

    def url(self) -> str:
        """Return the address that torchvision downloads from."""
        return URL

    def fetch(self, folder: Path) -> Path:
        """Download with torchvision."""
        self._torchvision(folder, download=True)
        return folder / self.batches

    def _torchvision(self, root: Path, **settings: bool) -> Any:  # noqa: ANN401 - torchvision is not typed
        from torchvision import datasets

        return getattr(datasets, self.torchvision_name)(root, **settings)

    def _parquet_files(self, base: Path) -> tuple[Path, ...]:
        for pattern in PARQUET_FOLDERS:
            below = pattern.format(name=self.name, config=self.config)
            # Several snapshots may lie side by side; the youngest is what was downloaded last.
            folders = sorted(base.glob(below) if below else [base], key=_modified, reverse=True)
            for folder in folders:
                files = [*folder.glob("train-*.parquet"), *folder.glob("test-*.parquet")]
                if files:
                    return tuple(sorted(files))
        return ()

    def _read_batches(self, root: Path, *, train: bool) -> Split:
        read = self._torchvision(root, train=train)
        return Split(read.data.transpose(0, 3, 1, 2), np.asarray(read.targets, dtype=np.int64))


def _batch_files(folder: Path) -> tuple[Path, ...]:
    return tuple(folder / name for name in BATCH_FILES if (folder / name).is_file())


def _modified(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0


def _read_parquet(source: Source, split: str, label_column: str) -> Split:
    from pyarrow import parquet

    files = [file for file in source.files if file.name.startswith(f"{split}-")]
    tables = [parquet.read_table(file) for file in files]
    labels = [_labels(table.column(label_column)) for table in tables]
    encoded = [image for table in tables for image in _encoded_images(table)]
    if not encoded:
        raise ValueError(f"no {split}-*.parquet with images")
    return Split(_decode_images(encoded, split), np.concatenate(labels))


def _labels(column: Any) -> NDArray[np.int64]:  # noqa: ANN401 - pyarrow is not typed
    from pyarrow import types

    if not types.is_integer(column.type) or column.null_count:
        raise ValueError(
            f"labels are {column.type}, {column.null_count} of them missing; whole numbers expected"
        )
    return column.to_numpy().astype(np.int64)  # type: ignore[no-any-return]


def _encoded_images(table: Any) -> Iterator[bytes]:  # noqa: ANN401 - pyarrow is not typed
    column = next((name for name in IMAGE_COLUMNS if name in table.column_names), None)
    if column is None:
        raise ValueError(f"columns {table.column_names}, but no {' or '.join(IMAGE_COLUMNS)}")
    for chunk in table.column(column).chunks:
        yield from chunk.field("bytes").to_pylist()


def _decode_images(encoded: list[bytes], split: str) -> NDArray[np.uint8]:
    """Return the images, uint8 ``(n, 3, height, width)``."""
    from PIL import Image

    shown = with_progress(encoded, f"Decoding CIFAR ({split})", len(encoded))
    images = [Image.open(BytesIO(image)) for image in shown]
    others = {image.mode for image in images} - {"RGB"}
    if others:
        raise ValueError(f"images of the mode {min(others)}, all of CIFAR's are RGB")
    return np.stack([np.asarray(image) for image in images]).transpose(0, 3, 1, 2)
