import gzip
import hashlib
import json

import numpy as np
import pytest
from torchvision.datasets import KMNIST

from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.data.torchvision_set import TorchvisionSet
from tests.made_archives import BLUE, GREEN, RED, idx, write_gtsrb, write_image


def chosen(root, name, **settings):
    given = {"root": str(root), "cache": str(root / "cache"), "download": False, **settings}
    return TorchvisionSet(set=name, **given)


def message(root, name, **settings):
    with pytest.raises(FlBackdoorError) as error:
        chosen(root, name, **settings).load()
    assert "\n" not in str(error.value)
    return str(error.value)


PIXELS = np.random.default_rng(0).integers(0, 256, (4, 28, 28), dtype=np.uint8)
LABELS = np.array([3, 0, 9, 1], dtype=np.uint8)


def write_idx(folder, train="train", test="t10k", packed=False):
    """Three images to train on and one to test."""
    folder.mkdir(parents=True)
    for name, rows in ((train, slice(3)), (test, slice(3, 4))):
        for what, array in (("images-idx3", PIXELS[rows]), ("labels-idx1", LABELS[rows])):
            file = folder / f"{name}-{what}-ubyte{'.gz' if packed else ''}"
            file.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    return folder


def write_clevr(place):
    """CLEVR's test images have no labels; those of the others are the numbers of objects."""
    tree = place / "clevr" / "CLEVR_v1.0"
    (tree / "scenes").mkdir(parents=True)
    for split, counts in {"train": [2, 3], "val": [1], "test": [1, 1]}.items():
        scenes = []
        for row, count in enumerate(counts):
            write_image(tree / "images" / split / f"{row}.png")
            scenes.append({"image_filename": f"{row}.png", "objects": [{}] * count})
        (tree / "scenes" / f"CLEVR_{split}_scenes.json").write_text(json.dumps({"scenes": scenes}))


@pytest.mark.parametrize("place", ["", "GTSRB"])
def test_images_of_any_size_in_roots_own_folder_or_in_one_of_the_sets_name(tmp_path, place):
    write_gtsrb(tmp_path / place)
    dataset = chosen(tmp_path, "GTSRB", size=16)
    loaded = dataset.load()
    assert (dataset.num_classes, dataset.class_names) == (2, ("0", "1"))
    assert (dataset.num_train, dataset.num_test, dataset.image_shape) == (3, 2, (3, 16, 16))
    assert loaded.train.labels.tolist() == [0, 0, 1]
    assert loaded.test.labels.tolist() == [1, 0]
    for images, colors in ((loaded.train.samples, (RED, BLUE, GREEN)), (loaded.test.samples, (GREEN, RED))):
        assert images.dtype == np.uint8
        expected = np.broadcast_to(np.array(colors)[:, :, None, None], (len(colors), 3, 16, 16))
        np.testing.assert_array_equal(images, expected)


def test_grey_images_are_those_of_the_files_and_classes_have_torchvisions_names(tmp_path):
    write_idx(tmp_path / "KMNIST" / "raw")
    dataset = chosen(tmp_path, "KMNIST", size=28, channels=1)
    loaded = dataset.load()
    np.testing.assert_array_equal(loaded.train.samples[:, 0], PIXELS[:3])
    np.testing.assert_array_equal(loaded.test.samples[:, 0], PIXELS[3:])
    assert (loaded.train.labels.tolist(), loaded.test.labels.tolist()) == ([3, 0, 9], [1])
    assert dataset.class_names == ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")


def test_keywords_reach_the_constructor(tmp_path):
    write_idx(tmp_path / "EMNIST" / "raw", "emnist-digits-train", "emnist-digits-test")
    assert message(tmp_path, "EMNIST") == (
        "dataset.set = EMNIST: needs split as well: dataset.keywords={split:…}"
    )
    dataset = chosen(tmp_path, "EMNIST", keywords={"split": "digits"})
    assert dataset.load().train.labels.tolist() == [3, 0, 9]
    assert dataset.class_names == tuple("0123456789")


def test_validation_images_stand_in_for_test_images_and_several_names_become_one(tmp_path):
    for split, color in (("train", RED), ("val", BLUE)):
        for wnid in ("n01440764", "n02102040"):
            write_image(tmp_path / "Imagenette" / "imagenette2" / split / wnid / "1.JPEG", color)
    dataset = chosen(tmp_path, "Imagenette")
    assert dataset.load().test.labels.tolist() == [0, 1]
    assert dataset.load().test.samples[0, :, 0, 0].tolist() == pytest.approx(BLUE, abs=2)
    assert dataset.class_names[0] == "tench, Tinca tinca"


def test_images_without_a_class_are_refused_and_another_part_can_be_named(tmp_path):
    write_clevr(tmp_path / "CLEVRClassification")
    assert message(tmp_path, "CLEVRClassification") == (
        "dataset.test = None: 2 of these 2 images have no class (label -1); take another part"
    )
    dataset = chosen(tmp_path, "CLEVRClassification", test={"split": "val"})
    assert (dataset.num_test, dataset.load().test.labels.tolist()) == (1, [1])
    assert dataset.class_names == ("0", "1", "2", "3")


def test_what_is_not_one_class_an_image_is_refused(tmp_path):
    tree = tmp_path / "oxford-iiit-pet"
    (tree / "annotations").mkdir(parents=True)
    write_image(tree / "images" / "Abyssinian_1.jpg")
    write_image(tree / "annotations" / "trimaps" / "Abyssinian_1.png", 1, mode="L")
    for split in ("trainval", "test"):
        (tree / "annotations" / f"{split}.txt").write_text("Abyssinian_1 1 1 1\n")
    assert message(tmp_path, "OxfordIIITPet", keywords={"target_types": "segmentation"}) == (
        "dataset.set = OxfordIIITPet: is not made of images and one class each, but of (Image, PngImageFile)"
    )
    assert chosen(tmp_path, "OxfordIIITPet").class_names == ("Abyssinian",)


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("SVNH", {}, "dataset.set = SVNH: no such class in torchvision.datasets; did you mean SVHN?"),
        ("gtsrb", {}, "dataset.set = gtsrb: no such class in torchvision.datasets; did you mean GTSRB?"),
        (
            "xxxxx",
            {},
            "dataset.set = xxxxx: no such class in torchvision.datasets; it has CIFAR10, CIFAR100, ",
        ),
        (
            "SVHN",
            {},
            "torchvision_SVHN: no SVHN/ with its files in {root}, and dataset.download is false; set",
        ),
        (
            "FER2013",
            {"download": True},
            "torchvision_FER2013: no FER2013/ with its files in {root}, and torch",
        ),
        (
            "SVHN",
            {"download": True, "train": {"split": "most"}},
            "dataset.train = {{'split': 'most'}}: torchvision's SVHN: Unknown value 'most' for argument",
        ),
        (
            "EuroSAT",
            {"download": True},
            "dataset.set = EuroSAT: torchvision does not divide it into training",
        ),
        (
            "SVHN",
            {"download": True, "keywords": {"a": 1}},
            "dataset.set = SVHN: does not take {{'a': 1, 'split",
        ),
    ],
)
def test_what_cannot_be_had_is_one_line(tmp_path, name, settings, expected):
    assert message(tmp_path, name, **settings).startswith(expected.format(root=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_files_that_torchvision_refuses_are_one_line(tmp_path):
    write_gtsrb(tmp_path)
    (tmp_path / "gtsrb" / "GT-final_test.csv").unlink()
    assert message(tmp_path, "GTSRB").startswith(
        f"torchvision_GTSRB: {tmp_path} is incomplete or damaged (ValueError: "
    )


def test_second_load_asks_nothing_of_torchvision(tmp_path, monkeypatch):
    write_gtsrb(tmp_path)
    first = chosen(tmp_path, "GTSRB").load()
    monkeypatch.setattr(TorchvisionSet, "_class", lambda *_: pytest.fail("asked torchvision"))
    second = chosen(tmp_path, "GTSRB")
    assert (second.num_classes, second.num_train, second.num_test) == (2, 3, 2)
    np.testing.assert_array_equal(second.load().train.samples, first.train.samples)


def test_each_change_of_files_or_settings_has_a_cache_of_its_own(tmp_path):
    write_gtsrb(tmp_path)
    chosen(tmp_path, "GTSRB").load()
    for settings in ({"size": 16}, {"channels": 1}, {"test": {"split": "train"}}):
        assert len(chosen(tmp_path, "GTSRB", **settings).load().train.labels) == 3
    training = tmp_path / "gtsrb" / "GTSRB" / "Training"
    (training / "00000" / "00000_00001.ppm").rename(training / "00001" / "00001_00001.ppm")
    assert chosen(tmp_path, "GTSRB").load().train.labels.tolist() == [0, 1, 1]
    assert len(list((tmp_path / "cache").iterdir())) == 5


def test_downloads_through_torchvision(served, tmp_path, monkeypatch):
    folder, url = served
    packed = write_idx(folder / "packed", packed=True)
    sums = [(file.name, hashlib.md5(file.read_bytes()).hexdigest()) for file in packed.iterdir()]
    monkeypatch.setattr(KMNIST, "mirrors", [f"{url}packed/"])
    monkeypatch.setattr(KMNIST, "resources", sums)
    root = tmp_path / "root"
    dataset = chosen(root, "KMNIST", size=28, channels=1, download=True)
    np.testing.assert_array_equal(dataset.load().train.samples[:, 0], PIXELS[:3])
    assert sorted(path.name for path in root.iterdir()) == ["KMNIST", "cache"]


def test_a_failed_download_is_one_line_and_leaves_nothing(closed_url, tmp_path, monkeypatch):
    monkeypatch.setattr(KMNIST, "mirrors", [f"{closed_url}/"])
    assert message(tmp_path, "KMNIST", download=True).startswith(
        f"dataset.root: the download to {tmp_path} failed ("
    )
    assert list(tmp_path.iterdir()) == []
