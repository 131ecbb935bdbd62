"""Data sets with a name of their own, from small files in the form of the published archives."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from torchvision import datasets
from torchvision.datasets import SVHN

from fl_backdoor.core import plugins
from fl_backdoor.core.errors import ConfigError, DataError
from fl_backdoor.data.catalogue import CATALOGUE
from fl_backdoor.data.emnist import CLASSES, Emnist
from fl_backdoor.data.tiny_imagenet import TinyImageNet
from fl_backdoor.testing import check_dataset
from tests.made_archives import (
    GREEN,
    RED,
    write_cinic10,
    write_emnist,
    write_gtsrb,
    write_image,
    write_svhn,
    write_tiny_imagenet,
)

CONF = Path(__file__).parents[2] / "conf" / "dataset"


def preset(name, root, cache=None, **settings):
    spec = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    given = {"root": str(root), "cache": cache or str(root / "cache"), **settings}
    return plugins.build(spec | given, "dataset")


@pytest.fixture
def made_svhn(monkeypatch):
    """torchvision checks sums, which made-up files do not have."""
    unchecked = {name: [url, file, None] for name, (url, file, _) in SVHN.split_list.items()}
    monkeypatch.setattr(SVHN, "split_list", unchecked)


WRITERS = {
    "svhn": write_svhn,
    "gtsrb": write_gtsrb,
    "emnist": lambda root: write_emnist(root, "balanced", [0, 10, 46, 35]),
    "emnist_letters": lambda root: write_emnist(root, "letters", [1, 26, 2, 3]),
    "cinic10": write_cinic10,
    "tiny_imagenet": write_tiny_imagenet,
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.usefixtures("made_svhn")
def test_it_is_a_data_set_like_any_other(name, tmp_path):
    WRITERS[name](tmp_path)
    check_dataset(lambda cache: preset(name, tmp_path, cache), tmp_path / "empty")
    assert preset(name, tmp_path).moments.mean != (0.5,) * preset(name, tmp_path).image_shape[0]


@pytest.mark.usefixtures("made_svhn")
def test_svhn_is_its_matlab_files_and_its_class_ten_is_the_digit_zero(tmp_path):
    images = write_svhn(tmp_path)
    dataset = preset("svhn", tmp_path)
    loaded = dataset.load()
    np.testing.assert_array_equal(loaded.train.samples, images)
    np.testing.assert_array_equal(loaded.test.samples, images[:2])
    assert loaded.train.labels.tolist() == [0, 1, 9, 5]
    assert dataset.num_classes == 10


def test_emnist_is_upright_and_its_letters_count_from_zero(tmp_path):
    upright = write_emnist(tmp_path, "letters", [1, 26, 2, 3])
    letters = preset("emnist_letters", tmp_path)
    np.testing.assert_array_equal(letters.load().train.samples[:, 0], upright)
    assert [letters.class_names[label] for label in letters.load().train.labels] == ["a", "z", "b", "c"]
    write_emnist(tmp_path, "balanced", [9, 10, 36, 46])
    balanced = preset("emnist", tmp_path)
    assert [balanced.class_names[label] for label in balanced.load().train.labels] == ["9", "A", "a", "t"]
    assert (letters.num_classes, balanced.num_classes, balanced.num_test) == (26, 47, 2)


def test_emnists_classes_are_torchvisions():
    official = datasets.EMNIST.classes_split_dict
    assert {split: list(names) for split, names in CLASSES.items() if split != "letters"} == {
        split: list(official[split]) for split in CLASSES if split != "letters"
    }
    assert list(CLASSES["letters"]) == official["letters"][1:]
    assert Emnist().url() == datasets.EMNIST.url


def test_of_emnists_files_those_of_another_split_do_not_count(tmp_path):
    write_emnist(tmp_path, "balanced", [9, 10])
    before = preset("emnist", tmp_path).contents()
    write_emnist(tmp_path, "letters", [1, 2])
    assert preset("emnist", tmp_path).contents() == before
    with pytest.raises(DataError, match=r"^emnist_digits: no EMNIST/raw/emnist-digits-\*-ubyte in "):
        Emnist(split="digits", root=str(tmp_path), download=False).load()


def test_cinic10_trains_on_train_and_tests_on_test(tmp_path):
    write_cinic10(tmp_path)
    loaded = preset("cinic10", tmp_path).load()
    assert loaded.train.samples[:, :, 0, 0].tolist() == [[10, 0, 0], [10, 1, 0]]
    assert loaded.test.samples[:, :, 0, 0].tolist() == [[30, 0, 0], [30, 1, 0]]


def test_tiny_imagenet_tests_on_annotated_validation_images(tmp_path):
    write_tiny_imagenet(tmp_path)
    dataset = preset("tiny_imagenet", tmp_path)
    loaded = dataset.load()
    assert dataset.class_names == ("goldfish, Carassius auratus", "Egyptian cat")
    assert (dataset.image_shape, dataset.num_train, dataset.num_test) == ((3, 64, 64), 4, 2)
    assert loaded.train.labels.tolist() == [0, 0, 1, 1]
    assert loaded.test.labels.tolist() == [1, 0], "in the order of the images' names"
    for image, color in zip(loaded.train.samples, (RED, RED, GREEN, GREEN), strict=True):
        assert image[:, 9, 9].tolist() == pytest.approx(color, abs=2)
    assert loaded.test.samples[1, :, 9, 9].tolist() == pytest.approx([128] * 3, abs=2)


def test_tiny_imagenets_annotations_are_part_of_its_contents(tmp_path):
    tree = write_tiny_imagenet(tmp_path)
    before = preset("tiny_imagenet", tmp_path).contents()
    annotations = tree / "val" / "val_annotations.txt"
    lines = annotations.read_text().splitlines()
    annotations.write_text(
        "".join(f"{line}\n" for line in (lines[0].replace("n01443537", "n02124075"), lines[1]))
    )
    changed = preset("tiny_imagenet", tmp_path)
    assert changed.contents() != before
    assert changed.load().test.labels.tolist() == [1, 1]


def test_validation_images_in_a_folder_a_class_are_read_as_well(tmp_path):
    tree = write_tiny_imagenet(tmp_path)
    for name, wnid in (("val_0.JPEG", "n02124075"), ("val_1.JPEG", "n01443537")):
        (tree / "val" / wnid).mkdir()
        (tree / "val" / "images" / name).rename(tree / "val" / wnid / name)
    (tree / "val" / "images").rmdir()
    assert preset("tiny_imagenet", tmp_path).load().test.labels.tolist() == [0, 1]


def test_classes_that_are_called_alike_or_not_at_all_have_their_folders_names(tmp_path):
    tree = write_tiny_imagenet(tmp_path)
    (tree / "words.txt").write_text("n01443537\tcrane\nn02124075\tcrane\n")
    assert preset("tiny_imagenet", tmp_path).class_names == ("crane (n01443537)", "crane (n02124075)")
    (tree / "words.txt").unlink()
    assert preset("tiny_imagenet", tmp_path).class_names == ("n01443537", "n02124075")


def unnamed(tree):
    write_image(tree / "val" / "images" / "val_2.JPEG")


def gone(tree):
    (tree / "val" / "images" / "val_1.JPEG").unlink()


def unannotated(tree):
    (tree / "val" / "val_annotations.txt").unlink()


def unknown(tree):
    (tree / "val" / "val_annotations.txt").write_text("val_0.JPEG\tn9\nval_1.JPEG\tn9\n")


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (unnamed, "{tree}/val: val_annotations.txt does not name val/images/val_2.JPEG"),
        (gone, "{tree}/val: val_annotations.txt names val_1.JPEG, which is not in val/images"),
        (unannotated, "{tree}/val/val_annotations.txt cannot be read ([Errno 2] No such file or directory: "),
        (unknown, "{tree} has test images of the class 'n9', and none to train on"),
    ],
)
def test_images_and_annotations_that_do_not_belong_together_are_one_line(tmp_path, damage, expected):
    tree = write_tiny_imagenet(tmp_path)
    damage(tree)
    with pytest.raises(DataError) as error:
        TinyImageNet(root=str(tmp_path))
    assert str(error.value).startswith(f"dataset.folder: {expected.format(tree=tree)}")


def test_the_catalogue_has_torchvisions_sums():
    for name, official in (("cifar10", datasets.CIFAR10), ("cifar100", datasets.CIFAR100)):
        sums = [*official.train_list, *official.test_list, (official.meta["filename"], official.meta["md5"])]
        assert dict(CATALOGUE[name].md5) == dict(sums)
    official = {file: md5 for _, (_, file, md5) in SVHN.split_list.items() if file != "extra_32x32.mat"}
    assert dict(CATALOGUE["svhn"].md5) == official


def test_everything_with_a_name_is_in_the_catalogue_and_what_it_says_is_what_the_class_says():
    generic = {"auto", "huggingface", "image_folder", "text_table", "torchvision"}
    assert set(CATALOGUE) == {file.stem for file in CONF.glob("*.yaml")} - generic
    for name in ("cifar10", "cifar100", "fashion_mnist", "mnist5k", "sst2"):
        kind = plugins.resolve(yaml.safe_load((CONF / f"{name}.yaml").read_text()), "dataset")
        entry = CATALOGUE[name]
        assert (entry.num_classes, entry.num_train, entry.num_test) == (
            kind.num_classes,
            kind.num_train,
            kind.num_test,
        )


def test_what_a_preset_leaves_open_can_be_set_and_what_it_does_not_have_is_refused(tmp_path):
    write_tiny_imagenet(tmp_path)
    assert preset("tiny_imagenet", tmp_path, size=32).load().train.samples.shape == (4, 3, 32, 32)
    with pytest.raises(ConfigError, match=r"^dataset\.channels = 1: no such setting"):
        preset("tiny_imagenet", tmp_path, channels=1)
