"""Fashion-MNIST: 70,000 pictures of clothes, 60,000 to train, 10,000 to test, ten classes of the same size.

Images are uint8 ``(1, 28, 28)``, 0 (background) to 255; labels are int64, 0 T-shirt/top to 9 ankle boot. They
are read by torchvision from the extracted IDX files in ``root/FashionMNIST/raw``.

Source: https://github.com/zalandoresearch/fashion-mnist
Cite: H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
Algorithms", arXiv:1708.07747, 2017.
"""

from pathlib import Path

import numpy as np

from fl_backdoor.data.dataset import Dataset, ImageDataset, Source, Split

FOLDER = "FashionMNIST"
FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)

PUBLISHED = "9d3a60af62cc5a56"
"""Fingerprint of the files that their authors publish."""


class FashionMnist(ImageDataset):
    """Fashion-MNIST; see the module and `ImageDataset`."""

    name = "fashion_mnist"
    num_classes = 10
    class_names = (
        "T-shirt/top",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    )
    image_shape = (1, 28, 28)
    mean = (0.2860,)
    std = (0.3530,)
    num_train = 60_000
    num_test = 10_000
    wanted = f"{FOLDER}/raw/*-ubyte"
    published = frozenset({PUBLISHED})

    def locate(self) -> Source | None:
        """Return those of the four IDX files that are there."""
        files = [self.root / FOLDER / "raw" / name for name in FILES]
        present = tuple(file for file in files if file.is_file())
        return Source(self.root / FOLDER / "raw", present) if present else None

    def decode(self, source: Source) -> Dataset:
        """Return the images that torchvision reads."""
        root = source.folder.parent.parent
        return Dataset(_read(root, train=True), _read(root, train=False))

    def url(self) -> str:
        """Return the address that torchvision knows."""
        from torchvision.datasets import FashionMNIST

        return f"{FashionMNIST.mirrors[0]}{FashionMNIST.resources[0][0]}"

    def fetch(self, folder: Path) -> Path:
        """Download with torchvision."""
        from torchvision.datasets import FashionMNIST

        FashionMNIST(folder, download=True)
        return folder / FOLDER


def _read(root: Path, *, train: bool) -> Split:
    from torchvision.datasets import FashionMNIST

    read = FashionMNIST(root, train=train)
    return Split(read.data.numpy()[:, np.newaxis], read.targets.numpy())
