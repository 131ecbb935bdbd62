import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fl_backdoor.core.errors import ConfigError, DataError
from fl_backdoor.data.image_folder import ImageFolder


def write(file: Path, color, size=(40, 20), mode="RGB"):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(file)


@pytest.fixture
def root(tmp_path):
    tree = tmp_path / "pets"
    write(tree / "train" / "dog" / "1.png", (255, 0, 0))
    write(tree / "train" / "dog" / "more" / "2.PNG", (0, 0, 255), (10, 10))
    write(tree / "train" / "cat" / "1.jpg", 128, (7, 9), "L")
    write(tree / "train" / "ant" / "1.png", (0, 255, 0, 255), (64, 64), "RGBA")
    write(tree / "test" / "dog" / "1.bmp", (0, 0, 0))
    (tree / "train" / "dog" / "notes.txt").write_text("no image")
    (tree / "train" / ".hidden").mkdir()
    return tmp_path


def folder(root, **settings):
    return ImageFolder(**{"folder": "pets", "root": str(root), "cache": str(root / "cache"), **settings})


def test_classes_are_folders_in_order_and_images_are_stretched(root):
    dataset = folder(root, size=16)
    assert dataset.class_names == ("ant", "cat", "dog")
    assert (dataset.num_classes, dataset.image_shape) == (3, (3, 16, 16))
    loaded = dataset.load()
    assert loaded.train.labels.tolist() == [0, 1, 2, 2]
    assert loaded.train.samples.shape == (4, 3, 16, 16)
    expected = [(0, 255, 0), (128, 128, 128), (255, 0, 0), (0, 0, 255)]
    for image, color in zip(loaded.train.samples, expected, strict=True):
        assert np.abs(image.astype(int) - np.array(color)[:, None, None]).max() <= 1
    assert (loaded.test.samples, loaded.test.labels.tolist()) == (pytest.approx(0), [2])


def test_resizing_is_bilinear(root):
    rows = np.repeat(np.array([[0], [200]], np.uint8), 2, axis=1)
    Image.fromarray(rows).save(root / "pets" / "test" / "dog" / "1.bmp")
    image = folder(root, size=4, channels=1).load().test.samples[0, 0]
    # Centres of four rows lie at -.25, .25, .75 and 1.25 of two, whose centres are 0 and 1.
    assert image[:, 0].tolist() == [0, 50, 150, 200]


def test_grey_images_have_one_channel(root):
    loaded = folder(root, channels=1).load()
    assert loaded.train.samples.shape == (4, 1, 32, 32)
    # ITU-R 601: 0.299 red, 0.587 green, 0.114 blue.
    assert loaded.train.samples[:, 0, 16, 16].tolist() == pytest.approx([150, 128, 76, 29], abs=1)


def test_each_size_and_each_change_has_a_cache_of_its_own(root):
    for size in (16, 17):
        assert folder(root, size=size).load().train.samples.shape[2:] == (size, size)
    (root / "pets" / "train" / "dog" / "1.png").rename(root / "pets" / "train" / "cat" / "0.png")
    assert folder(root, size=16).load().train.labels.tolist() == [0, 1, 1, 2]
    assert len(list((root / "cache").glob("image_folder-*"))) == 3


def test_folders_with_the_same_names_and_sizes_and_an_image_edited_in_place_are_told_apart(tmp_path):
    def loaded(place, color):
        for split in ("train", "test"):
            write(tmp_path / place / "pets" / split / "dog" / "1.bmp", color)
        dataset = ImageFolder(folder="pets", root=str(tmp_path / place), cache=str(tmp_path / "cache"))
        return dataset.load().train.samples[0, :, 0, 0].tolist()

    assert loaded("a", (1, 2, 3)) == [1, 2, 3]
    assert loaded("b", (4, 5, 6)) == [4, 5, 6]
    assert loaded("b", (7, 8, 9)) == [7, 8, 9]
    assert loaded("c", (1, 2, 3)) == [1, 2, 3]
    kept = list((tmp_path / "cache").glob("image_folder-*"))
    assert len(kept) == 3, "where a folder lies does not matter"


def test_grey_images_of_sixteen_bits_are_scaled(root):
    values = np.arange(32 * 32, dtype=np.uint16).reshape(32, 32) * 64
    Image.fromarray(values).save(root / "pets" / "train" / "dog" / "1.png")
    loaded = folder(root).load().train.samples[2]
    np.testing.assert_array_equal(loaded, np.broadcast_to(np.round(values / 257), (3, 32, 32)))


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [("JPEG", "jfif"), ("JPEG", "JPE"), ("WEBP", "webp"), ("PPM", "ppm"), ("TIFF", "tif"), ("PNG", "")],
)
def test_what_pillow_reads_is_an_image_whatever_its_suffix(root, kind, suffix):
    file = root / "pets" / "train" / "cat" / "1.jpg"
    Image.new("RGB", (9, 9), (0, 128, 0)).save(file, kind)
    file.rename(file.with_suffix(f".{suffix}" if suffix else ""))
    dataset = folder(root)
    assert dataset.class_names == ("ant", "cat", "dog")
    assert dataset.load().train.labels.tolist() == [0, 1, 2, 2]


def test_what_lies_hidden_beside_images_or_was_left_by_a_file_manager_is_no_image(root):
    dogs = root / "pets" / "train" / "dog"
    for name in (
        *("._1.png", ".DS_Store", "Thumbs.db", "desktop.ini", "labels.csv"),
        *(".ipynb_checkpoints/1-checkpoint.png", "__MACOSX/1.png", "@eaDir/1.png"),
    ):
        (dogs / name).parent.mkdir(exist_ok=True)
        (dogs / name).write_bytes(b"\0\5\26\7")
    (root / "pets" / "train" / "__MACOSX").mkdir()
    dataset = folder(root)
    assert dataset.class_names == ("ant", "cat", "dog")
    assert dataset.load().train.labels.tolist() == [0, 1, 2, 2]


def test_names_of_classes_that_are_no_utf8_are_spelt_out(root):
    cafe = os.fsdecode(b"caf\xe9")
    (root / "pets" / "train" / "cat").rename(root / "pets" / "train" / cafe)
    dataset = folder(root)
    assert dataset.class_names == ("ant", "caf\\xe9", "dog")
    assert dataset.load().train.labels.tolist() == [0, 1, 2, 2]
    write(root / "pets" / "train" / cafe / "2.tif", 0.5, mode="F")
    with pytest.raises(DataError) as error:
        folder(root).load()
    assert str(error.value).startswith(f"{root}/pets/train/caf\\xe9/2.tif cannot be read")
    str(error.value).encode()


@pytest.mark.parametrize("name", ["valid", "validation"])
def test_other_names_of_validation_images(root, name):
    (root / "pets" / "test").rename(root / "pets" / name)
    assert folder(root).load().test.labels.tolist() == [2]


def test_a_share_of_the_training_images_stands_in_for_test_images(root):
    with pytest.raises(ConfigError) as error:
        folder(root, test_share=0.5)
    assert str(error.value) == (
        f"dataset.test_share = 0.5: {root}/pets has test images of its own; leave this out"
    )
    without_test_images(root)
    dataset = folder(root, test_share=0.5)
    loaded = dataset.load()
    # one of two dogs; the only cat and the only ant stay where they are
    assert (loaded.train.labels.tolist(), loaded.test.labels.tolist()) == ([0, 1, 2], [2])
    assert (dataset.num_train, dataset.num_test, dataset.num_classes) == (3, 1, 3)
    dogs = {tuple(split.samples[-1, :, 0, 0].tolist()) for split in (loaded.train, loaded.test)}
    assert dogs == {(255, 0, 0), (0, 0, 255)}


def test_validation_images_stand_in_for_test_images(root):
    (root / "pets" / "test").rename(root / "pets" / "val")
    assert folder(root).load().test.labels.tolist() == [2]


def without_training_images(root):
    (root / "pets" / "train").rename(root / "pets" / "training")


def without_test_images(root):
    (root / "pets" / "test" / "dog" / "1.bmp").unlink()


def with_an_unknown_class(root):
    write(root / "pets" / "test" / "wolf" / "1.png", 0)


def with_a_broken_image(root):
    (root / "pets" / "train" / "dog" / "1.png").write_bytes(b"broken")


def with_a_torn_image(root):
    file = root / "pets" / "train" / "dog" / "1.png"
    file.write_bytes(file.read_bytes()[:60])


def with_a_foreign_file(root):
    (root / "pets" / "train" / "dog" / "3.heic").write_bytes(b"ftypheic")


def with_an_unknown_range(root):
    write(root / "pets" / "train" / "dog" / "1.tif", 0.5, mode="F")


def with_an_empty_class(root):
    (root / "pets" / "train" / "emu" / ".ipynb_checkpoints").mkdir(parents=True)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without_training_images, "dataset.folder: no images in {root}/pets/train/<class>/"),
        (
            without_test_images,
            "dataset.folder: no images in {root}/pets/test, val, valid or validation/<class>/; set",
        ),
        (
            with_an_unknown_class,
            "dataset.folder: {root}/pets has test images of the class 'wolf', and none to train on",
        ),
        (with_a_broken_image, "{root}/pets/train/dog/1.png cannot be read as an image (Unidentif"),
        (with_a_torn_image, "{root}/pets/train/dog/1.png cannot be read as an image (OSError: "),
        (with_a_foreign_file, "{root}/pets/train/dog/3.heic cannot be read as an image (Unidentif"),
        (with_an_unknown_range, "{root}/pets/train/dog/1.tif cannot be read as an image (ValueError: its"),
        (with_an_empty_class, "dataset.folder: no images of the class 'emu' in {root}/pets/train"),
    ],
)
def test_what_is_missing_or_damaged_is_one_line(root, damage, message):
    damage(root)
    with pytest.raises(DataError) as error:
        folder(root).load()
    assert str(error.value).startswith(message.format(root=root))
    assert "\n" not in str(error.value)
