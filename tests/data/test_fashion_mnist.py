import gzip
import hashlib

import numpy as np
import pytest

from fl_backdoor.core.errors import DataError
from fl_backdoor.data.fashion_mnist import FILES, FashionMnist


@pytest.fixture(scope="module")
def raw(data_root):
    folder = data_root / "FashionMNIST" / "raw"
    if not folder.is_dir():
        pytest.skip(f"no FashionMNIST in {data_root}")
    return folder


@pytest.fixture(scope="module")
def fashion(raw, tmp_path_factory):
    root = str(raw.parent.parent)
    return FashionMnist(root=root, cache=str(tmp_path_factory.mktemp("cache")), download=False).load()


def test_shapes_types_and_classes(fashion):
    assert fashion.train.samples.shape == (60_000, 1, 28, 28)
    assert fashion.test.samples.shape == (10_000, 1, 28, 28)
    assert fashion.train.samples.dtype == np.uint8
    assert fashion.train.labels.dtype == np.int64
    assert np.bincount(fashion.train.labels).tolist() == [6_000] * 10
    assert np.bincount(fashion.test.labels).tolist() == [1_000] * 10
    assert len(FashionMnist.class_names) == FashionMnist.num_classes == 10


def test_mean_and_spread_are_those_of_the_images(fashion):
    share = np.bincount(fashion.train.samples.ravel(), minlength=256) / fashion.train.samples.size
    values = np.arange(256) / 255
    assert share @ values == pytest.approx(FashionMnist.mean[0], abs=1e-4)
    assert np.sqrt(share @ (values - share @ values) ** 2) == pytest.approx(FashionMnist.std[0], abs=1e-4)


def test_images_are_those_of_the_idx_files(fashion, raw):
    """An IDX file is a header of 16 bytes (labels: 8) and then plain bytes."""
    pixels = np.fromfile(raw / "t10k-images-idx3-ubyte", dtype=np.uint8, offset=16)
    labels = np.fromfile(raw / "t10k-labels-idx1-ubyte", dtype=np.uint8, offset=8)
    np.testing.assert_array_equal(fashion.test.samples.ravel(), pixels)
    np.testing.assert_array_equal(fashion.test.labels, labels)


def test_downloads_through_torchvision(fashion, raw, served, tmp_path, monkeypatch):
    """The archives are packed anew, so that their MD5 sums differ from the published ones."""
    from torchvision.datasets import FashionMNIST

    folder, url = served
    resources = []
    for name in FILES:
        packed = gzip.compress((raw / name).read_bytes(), compresslevel=0)
        (folder / f"{name}.gz").write_bytes(packed)
        resources.append((f"{name}.gz", hashlib.md5(packed).hexdigest()))
    monkeypatch.setattr(FashionMNIST, "mirrors", [url])
    monkeypatch.setattr(FashionMNIST, "resources", resources)
    root = tmp_path / "root"
    loaded = FashionMnist(root=str(root), cache=str(tmp_path / "cache")).load()
    np.testing.assert_array_equal(loaded.test.samples, fashion.test.samples)
    assert [path.name for path in root.iterdir()] == ["FashionMNIST"]


@pytest.mark.parametrize("present", [1, 3])
def test_incomplete_source_is_one_line(raw, tmp_path, present):
    folder = tmp_path / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for name in FILES[-present:]:
        (folder / name).symlink_to(raw / name)
    with pytest.raises(DataError, match=r"^fashion_mnist: .*raw is incomplete or damaged \(.*dataset\.root"):
        FashionMnist(root=str(tmp_path), cache=str(tmp_path / "cache"), download=False).load()


def test_truncated_file_is_one_line(raw, tmp_path):
    folder = tmp_path / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for name in FILES:
        (folder / name).symlink_to(raw / name)
    (folder / FILES[0]).unlink()
    (folder / FILES[0]).write_bytes((raw / FILES[0]).read_bytes()[:100_000])
    with pytest.raises(DataError, match=r"^fashion_mnist: .*raw is incomplete or damaged \("):
        FashionMnist(root=str(tmp_path), cache=str(tmp_path / "cache"), download=False).load()
