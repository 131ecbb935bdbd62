import hashlib
import io
import pickle

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from fl_backdoor.data.cifar100 import BATCHES, CLASS_NAMES, Cifar100

LABELS = {"train": [49, 99, 0], "test": [7]}


@pytest.fixture
def few(monkeypatch, tmp_path):
    """CIFAR-100 of three training images and one test image, and what its pixels are."""
    monkeypatch.setattr(Cifar100, "num_train", 3)
    monkeypatch.setattr(Cifar100, "num_test", 1)
    generator = np.random.default_rng(0)
    sizes = {split: len(labels) for split, labels in LABELS.items()}
    return {split: generator.integers(256, size=(n, 32, 32, 3), dtype=np.uint8) for split, n in sizes.items()}


def as_batches(folder, pixels, monkeypatch):
    from torchvision.datasets import CIFAR100

    folder.mkdir()
    sums = {}
    for split, images in pixels.items():
        data = images.transpose(0, 3, 1, 2).reshape(-1, 3 * 32 * 32)
        content = pickle.dumps({"data": data, "fine_labels": LABELS[split], "coarse_labels": [1] * len(data)})
        (folder / split).write_bytes(content)
        sums[split] = hashlib.md5(content).hexdigest()
    names = pickle.dumps({"fine_label_names": CLASS_NAMES.split()})
    (folder / "meta").write_bytes(names)
    monkeypatch.setattr(CIFAR100, "train_list", [["train", sums["train"]]])
    monkeypatch.setattr(CIFAR100, "test_list", [["test", sums["test"]]])
    monkeypatch.setattr(CIFAR100, "meta", {**CIFAR100.meta, "md5": hashlib.md5(names).hexdigest()})


def png(image):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="PNG")
    return {"bytes": stream.getvalue(), "path": None}


def as_parquet(folder, pixels, _monkeypatch):
    folder.mkdir()
    for split, images in pixels.items():
        columns = {
            "img": [png(image) for image in images],
            "fine_label": LABELS[split],
            "coarse_label": [1] * len(images),
        }
        parquet.write_table(pa.table(columns), folder / f"{split}-00000-of-00001.parquet")


@pytest.mark.parametrize(("name", "write"), [(BATCHES, as_batches), ("cifar100", as_parquet)])
def test_either_form_gives_the_images_and_the_fine_classes(tmp_path, few, monkeypatch, name, write):
    write(tmp_path / name, few, monkeypatch)
    loaded = Cifar100(root=str(tmp_path), cache=str(tmp_path / "cache"), download=False).load()
    for split, found in (("train", loaded.train), ("test", loaded.test)):
        np.testing.assert_array_equal(found.samples.transpose(0, 2, 3, 1), few[split])
        assert found.labels.tolist() == LABELS[split]


def test_cifar10_is_not_taken_for_it(tmp_path):
    (tmp_path / "cifar10").mkdir()
    (tmp_path / "cifar10" / "train-00000-of-00001.parquet").touch()
    assert Cifar100(root=str(tmp_path)).locate() is None


def test_the_names_are_torchvisions(monkeypatch):
    from torchvision.datasets import CIFAR100

    assert Cifar100().url() == CIFAR100.url
    assert Cifar100.class_names == tuple(sorted(Cifar100.class_names))
    assert len(set(Cifar100.class_names)) == Cifar100.num_classes == 100
