import hashlib
import io
import pickle
import tarfile

import numpy as np
import pytest
from PIL import Image

from fl_backdoor.core.errors import DataError
from fl_backdoor.data import cifar10
from fl_backdoor.data.cifar10 import BATCHES, Cifar10

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def test_shapes_types_and_classes(cifar):
    assert cifar.train.samples.shape == (50_000, 3, 32, 32)
    assert cifar.test.samples.shape == (10_000, 3, 32, 32)
    assert cifar.train.samples.dtype == cifar.test.samples.dtype == np.uint8
    assert cifar.train.labels.dtype == cifar.test.labels.dtype == np.int64
    assert np.bincount(cifar.train.labels).tolist() == [5_000] * 10
    assert np.bincount(cifar.test.labels).tolist() == [1_000] * 10
    assert Cifar10.class_names[5] == "dog"
    assert len(Cifar10.class_names) == Cifar10.num_classes == 10


def test_channels_have_the_published_mean_and_spread(cifar):
    values = np.arange(256) / 255
    for channel, (mean, std) in enumerate(zip(Cifar10.mean, Cifar10.std, strict=True)):
        share = np.bincount(cifar.train.samples[:, channel].ravel(), minlength=256) / (50_000 * 32 * 32)
        found = share @ values
        assert found == pytest.approx(mean, abs=6e-5)
        assert np.sqrt(share @ (values - found) ** 2) == pytest.approx(std, abs=1e-4)


def test_images_and_labels_are_those_of_the_parquet_file(cifar, data_root):
    rows = (
        parquet.read_table(data_root / "cifar10" / "test-00000-of-00001.parquet").slice(4_321, 3).to_pylist()
    )
    for offset, row in enumerate(rows):
        pixels = np.asarray(Image.open(io.BytesIO(row["img"]["bytes"])))
        np.testing.assert_array_equal(cifar.test.samples[4_321 + offset].transpose(1, 2, 0), pixels)
        assert cifar.test.labels[4_321 + offset] == row["label"]


def batches(dataset):
    """Give the pickles of a ``cifar-10-batches-py`` with 5 x 200 and 500 images, by file name."""
    parts = {f"data_batch_{i + 1}": (dataset.train, slice(200 * i, 200 * (i + 1))) for i in range(5)}
    parts["test_batch"] = (dataset.test, slice(500))
    for name, (split, rows) in parts.items():
        data = split.samples[rows].reshape(-1, 3 * 32 * 32)
        yield name, pickle.dumps({"data": np.array(data), "labels": split.labels[rows].tolist()})
    yield "batches.meta", pickle.dumps({"label_names": list(Cifar10.class_names)})


def test_downloads_torchvisions_form_and_reads_the_same_images(cifar, served, tmp_path, monkeypatch):
    """The published MD5 sums are those of the whole set in its order; here are others, of fewer images."""
    from torchvision.datasets import CIFAR10

    folder, url = served
    sums = {}
    with tarfile.open(folder / CIFAR10.filename, "w:gz", compresslevel=0) as archive:
        for name, content in batches(cifar):
            entry = tarfile.TarInfo(f"{BATCHES}/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
            sums[name] = hashlib.md5(content).hexdigest()
    train_list = [[name, sums[name]] for name, _ in CIFAR10.train_list]
    archive_sum = hashlib.md5((folder / CIFAR10.filename).read_bytes()).hexdigest()
    for holder, name in ((CIFAR10, "url"), (cifar10, "URL")):
        monkeypatch.setattr(holder, name, f"{url}{CIFAR10.filename}")
    monkeypatch.setattr(CIFAR10, "tgz_md5", archive_sum)
    monkeypatch.setattr(CIFAR10, "train_list", train_list)
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": sums["batches.meta"]})
    monkeypatch.setattr(Cifar10, "num_train", 1_000)
    monkeypatch.setattr(Cifar10, "num_test", 500)

    root = tmp_path / "root"
    dataset = Cifar10(root=str(root), cache=str(tmp_path / "cache"))
    assert dataset.missing() is None
    loaded = dataset.load()
    for split, expected, size in [(loaded.train, cifar.train, 1_000), (loaded.test, cifar.test, 500)]:
        np.testing.assert_array_equal(split.samples, expected.samples[:size])
        np.testing.assert_array_equal(split.labels, expected.labels[:size])
    assert [path.name for path in root.iterdir()] == [BATCHES]
    assert dataset.locate().folder == root / BATCHES

    (root / BATCHES / "data_batch_3").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"^cifar10: .*cifar-10-batches-py is incomplete or damaged \("):
        dataset.load()


@pytest.mark.parametrize(
    "layout",
    [
        ".",
        "cifar10",
        "plain_text",
        "cifar10/plain_text",
        "datasets--uoft-cs--cifar10/snapshots/0123abc/plain_text",
        "cifar10/datasets--uoft-cs--cifar10/snapshots/0123abc/plain_text",
    ],
)
def test_finds_parquet_files_as_people_have_them(tmp_path, layout):
    folder = tmp_path / layout
    folder.mkdir(parents=True, exist_ok=True)
    names = ["test-00000-of-00001.parquet", "train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]
    for name in names:
        (folder / name).touch()
    source = Cifar10(root=str(tmp_path)).locate()
    assert [file.name for file in source.files] == names
    assert source.folder == folder


def write_parquet(file, pixels, labels, column):
    images = []
    for image in pixels:
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, format="PNG")
        images.append({"bytes": stream.getvalue(), "path": None})
    parquet.write_table(pa.table({column: images, "label": labels}), file)


@pytest.mark.parametrize("column", ["img", "image"])
def test_decodes_either_name_of_the_image_column(tmp_path, column):
    pixels = np.random.default_rng(0).integers(256, size=(5, 32, 32, 3), dtype=np.uint8)
    write_parquet(tmp_path / "train-00000-of-00002.parquet", pixels[:2], [3, 1], column)
    write_parquet(tmp_path / "train-00001-of-00002.parquet", pixels[2:4], [4, 1], column)
    write_parquet(tmp_path / "test-00000-of-00001.parquet", pixels[4:], [9], column)
    dataset = Cifar10(root=str(tmp_path), cache=str(tmp_path / "cache"), download=False)
    decoded = dataset.decode(dataset.locate())
    np.testing.assert_array_equal(decoded.train.samples.transpose(0, 2, 3, 1), pixels[:4])
    np.testing.assert_array_equal(decoded.test.samples.transpose(0, 2, 3, 1), pixels[4:])
    assert decoded.train.labels.tolist() == [3, 1, 4, 1]
    assert decoded.test.labels.tolist() == [9]
    with pytest.raises(DataError, match=r"4 training images and 4 labels, 50000 expected"):
        dataset.load()


def test_images_of_another_mode_and_labels_that_are_no_whole_numbers_are_refused(tmp_path):
    pixels = np.zeros((2, 32, 32, 3), dtype=np.uint8)
    write_parquet(tmp_path / "train-00000-of-00001.parquet", pixels, [3, 1], "img")
    dataset = Cifar10(root=str(tmp_path), cache=str(tmp_path / "cache"), download=False)
    for labels, images, reason in (
        ([0.5, 1.0], pixels, r"labels are double, 0 of them missing; whole numbers expected"),
        ([0, None], pixels, r"labels are int64, 1 of them missing; whole numbers expected"),
        ([0, 1], pixels[..., 0], r"images of the mode L, all of CIFAR's are RGB"),
    ):
        write_parquet(tmp_path / "test-00000-of-00001.parquet", images, labels, "img")
        with pytest.raises(DataError, match=reason):
            dataset.load()


def without_training_files(folder):
    (folder / "train-00000-of-00001.parquet").unlink()


def with_a_file_cut_short(folder):
    (folder / "train-00000-of-00001.parquet").write_bytes(b"PAR1")


def with_another_column(folder):
    write_parquet(folder / "train-00000-of-00001.parquet", np.zeros((1, 32, 32, 3), np.uint8), [0], "picture")


def with_a_broken_image(folder):
    rows = {"img": [{"bytes": b"\x89PNG\r\n", "path": None}], "label": [0]}
    parquet.write_table(pa.table(rows), folder / "train-00000-of-00001.parquet")


@pytest.mark.parametrize(
    "damage", [without_training_files, with_a_file_cut_short, with_another_column, with_a_broken_image]
)
def test_incomplete_or_damaged_source_is_one_line(tmp_path, damage):
    for name in ("train-00000-of-00001.parquet", "test-00000-of-00001.parquet"):
        write_parquet(tmp_path / name, np.zeros((1, 32, 32, 3), np.uint8), [0], "img")
    damage(tmp_path)
    with pytest.raises(DataError) as raised:
        Cifar10(root=str(tmp_path), cache=str(tmp_path / "cache"), download=False).load()
    message = str(raised.value)
    assert message.startswith(f"cifar10: {tmp_path} is incomplete or damaged (")
    assert "dataset.root" in message
    assert "\n" not in message
    assert not (tmp_path / "cache").exists()


def test_asks_at_the_address_that_torchvision_downloads_from():
    from torchvision.datasets import CIFAR10

    assert Cifar10().url() == CIFAR10.url


def test_absent_data_is_one_line_that_says_what_to_do(tmp_path, closed_url, monkeypatch):
    monkeypatch.setattr(cifar10, "URL", closed_url)
    with pytest.raises(DataError) as raised:
        Cifar10(root=str(tmp_path), cache=str(tmp_path / "cache")).load()
    message = str(raised.value)
    for part in (
        "cifar10",
        str(tmp_path),
        "parquet",
        "127.0.0.1",
        "dataset.root",
        "FL_BACKDOOR_DATA",
        "mnist5k",
    ):
        assert part in message
    assert "\n" not in message
    with pytest.raises(DataError, match=r"dataset\.download is false"):
        Cifar10(root=str(tmp_path), cache=str(tmp_path / "cache"), download=False).load()


def test_a_cached_copy_serves_where_no_folder_is_named(cifar_cache, unnamed_root):
    dataset = Cifar10(cache=str(cifar_cache), download=False)
    assert dataset.missing() is None
    assert dataset.load().train.samples.shape == (50_000, 3, 32, 32)


def test_a_cached_copy_does_not_stand_in_for_a_folder_that_is_named(cifar_cache, unnamed_root, monkeypatch):
    with pytest.raises(DataError, match=f"in {unnamed_root}"):
        Cifar10(root=str(unnamed_root), cache=str(cifar_cache), download=False).load()
    monkeypatch.setenv("FL_BACKDOOR_DATA", str(unnamed_root))
    with pytest.raises(DataError, match=f"in {unnamed_root}"):
        Cifar10(cache=str(cifar_cache), download=False).load()
