"""EMNIST: handwritten digits and letters, 28 x 28, grey; several sets that are chosen by `split`.

Images are uint8 ``(1, 28, 28)``, 0 (background) to 255, upright: the files have them with rows and columns
exchanged. Labels are int64 from 0: ``letters``, whose files count from 1, has a to z, upper and lower case
being one class; ``balanced`` has the digits, the capitals and those small letters that look unlike their
capitals. They are read by torchvision from the extracted IDX files of `split` in ``root/EMNIST/raw``.

Source: https://www.nist.gov/itl/products-and-services/emnist-dataset
Cite: G. Cohen, S. Afshar, J. Tapson, A. van Schaik, "EMNIST: an extension of MNIST to handwritten letters",
arXiv:1702.05373, 2017.
"""

import string
from pathlib import Path
from typing import Literal

import numpy as np

from fl_backdoor.data.dataset import Dataset, ImageDataset, Source, Split
from fl_backdoor.data.found_in_data import CountedInData
from fl_backdoor.data.moments import OWN

FOLDER = "EMNIST"
PARTS = ("train-images-idx3", "train-labels-idx1", "test-images-idx3", "test-labels-idx1")
URL = "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"
"""What torchvision downloads; asked for here it would cost seconds of imports."""

_CHARACTERS = (*string.digits, *string.ascii_uppercase, *string.ascii_lowercase)
_UNLIKE_THEIR_CAPITALS = frozenset("abdefghnqrt")
_MERGED = tuple(one for one in _CHARACTERS if not one.islower() or one in _UNLIKE_THEIR_CAPITALS)

CLASSES = {
    "balanced": _MERGED,
    "letters": tuple(string.ascii_lowercase),
    "digits": tuple(string.digits),
    "byclass": _CHARACTERS,
    "bymerge": _MERGED,
}
"""Names of the classes of each set."""


class Emnist(CountedInData, ImageDataset):
    """EMNIST; see the module and `ImageDataset`.

    Parameters
    ----------
    split
        Which of the sets.
    root, cache, download
        As in `ImageDataset`; the download, 0.5 GB, holds all of them.
    """

    image_shape = (1, 28, 28)
    mean = OWN
    std = OWN

    def __init__(
        self,
        *,
        split: Literal["balanced", "letters", "digits", "byclass", "bymerge"] = "balanced",
        root: str | None = None,
        cache: str | None = None,
        download: bool = True,
    ) -> None:
        super().__init__(root=root, cache=cache, download=download)
        self.split = split
        self.name = f"emnist_{split}"
        self.class_names = CLASSES[split]
        self.num_classes = len(self.class_names)
        self.wanted = f"{FOLDER}/raw/emnist-{split}-*-ubyte"

    def locate(self) -> Source | None:
        """Return those of the four IDX files that are there."""
        folder = self.root / FOLDER / "raw"
        files = [folder / f"emnist-{self.split}-{part}-ubyte" for part in PARTS]
        present = tuple(file for file in files if file.is_file())
        return Source(folder, present) if present else None

    def decode(self, source: Source) -> Dataset:
        """Return the images that torchvision reads, upright."""
        root = source.folder.parent.parent
        return self.counted(Dataset(self._read(root, train=True), self._read(root, train=False)))

    def url(self) -> str:
        """Return the address that torchvision downloads from."""
        return URL

    def fetch(self, folder: Path) -> Path:
        """Download with torchvision."""
        from torchvision.datasets import EMNIST

        EMNIST(folder, split=self.split, download=True)
        return folder / FOLDER

    def _read(self, root: Path, *, train: bool) -> Split:
        from torchvision.datasets import EMNIST

        read = EMNIST(root, split=self.split, train=train)
        images = np.ascontiguousarray(read.data.numpy().swapaxes(1, 2))[:, np.newaxis]
        return Split(images, read.targets.numpy() - (1 if self.split == "letters" else 0))
