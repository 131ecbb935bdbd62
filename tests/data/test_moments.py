import numpy as np
import pytest
import torch

from fl_backdoor.core import plugins
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.data.fingerprint import fingerprint, kind_of
from fl_backdoor.data.image_folder import ImageFolder
from fl_backdoor.data.moments import moments
from tests.made_archives import noise, write_image


def test_moments_are_those_of_all_pixels_of_a_channel():
    images = noise(1_500, 2, 3, 5)
    found = moments(images)
    pixels = images.astype(np.float64) / 255
    np.testing.assert_allclose(found.mean, pixels.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(found.std, pixels.std(axis=(0, 2, 3)), rtol=1e-12)


def test_moments_by_hand():
    """Pixels 0, 0, 255, 255 and 51, 51, 51, 51, which has no deviation: one step stands for it."""
    images = np.array([[[[0, 0], [255, 255]], [[51, 51], [51, 51]]]], np.uint8)
    found = moments(images)
    assert found.mean == (0.5, 0.2)
    assert found.std == (0.5, 1 / 255)


@pytest.fixture
def shades(tmp_path):
    """Two images to train on, of 0 and 102, that is 0.0 and 0.4, and a white one to test."""
    for name, shade in (("a", 0), ("b", 102)):
        write_image(tmp_path / "shades" / "train" / name / "1.png", (shade,) * 3, (8, 8))
    write_image(tmp_path / "shades" / "test" / "a" / "1.png", (255,) * 3, (8, 8))
    return tmp_path


def folder(root, **settings):
    return ImageFolder(
        folder="shades", root=str(root), cache=str(root / "cache"), size=8, channels=1, **settings
    )


def test_images_are_normalised_by_what_was_asked_for(shades):
    for settings, white in (
        ({}, (1 - 0.5) / 0.5),
        ({"mean": "own", "std": "own"}, (1 - 0.2) / 0.2),
        ({"mean": "own"}, (1 - 0.2) / 0.5),
        ({"mean": (0.25,), "std": (0.125,)}, (1 - 0.25) / 0.125),
    ):
        dataset = folder(shades, **settings)
        samples = dataset.on_device(dataset.load().test, torch.device("cpu"))
        assert samples.normalized(samples.raw(torch.tensor([0]))).unique().tolist() == pytest.approx([white])


def test_they_are_counted_once(shades, monkeypatch):
    first = folder(shades, mean="own", std="own").moments
    monkeypatch.setattr("fl_backdoor.data.moments.moments", lambda _: pytest.fail("counted twice"))
    assert folder(shades, mean="own", std="own").moments == first
    assert len(list((shades / "cache").glob("image_folder-*"))) == 1


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("mean", "half", "must be null, own or a list with a number from 0 to 1 for each channel"),
        ("mean", [2.0], "must be null, own or a list with a number from 0 to 1 for each channel"),
        ("std", [0.0], "must be own, or 1 numbers above 0"),
        ("mean", [0.5, 0.5, 0.5], "must be own, or 1 numbers"),
    ],
)
def test_what_they_cannot_be_is_one_line(shades, setting, value, expected):
    spec = {"_target_": "fl_backdoor.data.image_folder.ImageFolder", "folder": "shades", "channels": 1}
    with pytest.raises(ConfigError) as error:
        plugins.build(spec | {"root": str(shades), setting: value}, "dataset")
    assert str(error.value) == f"dataset.{setting} = {value}: {expected}"


def test_machines_whose_own_images_have_other_moments_are_told_apart(shades):
    """With numbers for all of them they are of one kind."""

    def kind(**settings):
        dataset = folder(shades, **settings)
        return kind_of(fingerprint(dataset, dataset.load()))

    before = {"own": kind(mean="own", std="own"), "given": kind(mean=(0.2,), std=(0.2,)), "half": kind()}
    write_image(shades / "shades" / "train" / "a" / "1.png", (51,) * 3, (8, 8))
    assert kind(mean="own", std="own") != before["own"]
    assert kind(mean=(0.2,), std=(0.2,)) == before["given"] == before["half"] == kind()
