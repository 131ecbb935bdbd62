"""The data that count: keys, clean models and run folders know them by their contents."""

import json
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from fl_backdoor.config.schema import parse_whole
from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.data.contents import Contents, contents_of
from fl_backdoor.runner import resume
from fl_backdoor.runner.composition import composed
from fl_backdoor.runner.experiment_key import clean_key, experiment_key
from fl_backdoor.runs import runs
from fl_backdoor.runs.run_folder import RunFolder

PUBLISHED = Contents("0" * 16, is_published=True)


def write_images(root: Path, value: int) -> None:
    """Two classes with an image each; whatever its value, an image has the same number of bytes."""
    for split in ("train", "test"):
        for label, name in enumerate(("cat", "dog")):
            file = root / "pets" / split / name / "1.ppm"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((8, 8, 3), value + label, np.uint8)).save(file)


@pytest.fixture
def settings(tmp_path):
    """Settings of two runs on folders with the same names and other pixels."""
    for place, value in (("a", 0), ("b", 40)):
        write_images(tmp_path / place, value)
    choice = ["dataset=image_folder", "dataset.folder=pets", f"dataset.cache={tmp_path / 'cache'}"]
    return [[*choice, f"dataset.root={tmp_path / place}", "attack.target_label=1"] for place in "ab"]


def test_runs_and_clean_models_on_other_pixels_are_other_ones(settings):
    configs = [parse_whole(next(composed(one)))[0] for one in settings]
    found = [contents_of(config.dataset) for config in configs]
    for key in (lambda config, data: experiment_key(config.to_dict(), data), clean_key):
        assert key(configs[0], found[0]) != key(configs[0], found[1])
        # Where the same files lie does not matter; outputs are in the same place.
        assert key(configs[0], found[0]) == key(configs[1], found[0])


def test_the_name_of_a_runs_folder_knows_the_data(settings):
    named = {"hydra": {"name": "${experiment_key:}"}}
    names = [OmegaConf.create({**next(composed(one)), **named}).hydra.name for one in settings]
    assert names[0] != names[1]


@pytest.mark.parametrize(
    ("rule", "folder", "checkpoint", "clean"),
    [
        ("fedavg", "a7321e10eb9b9797", "2969718bc34378ec", "ee9e94f146e335f9"),
        ("clip_avg", "19cca20bfd591ccc", "711bc4462405165f", "eee2961a912c5b38"),
        ("flame", "c71d0a39184d7970", "8f5804875725f45a", "8a1271234c39be14"),
    ],
)
def test_names_of_runs_stay_what_they_were_before_later_settings(rule, folder, checkpoint, clean):
    chosen = [f"strategy={rule}", "dataset=mnist5k", "num_rounds=4", "client.local_steps=6", "precision=fp32"]
    (plain,) = composed(chosen)
    config = parse_whole(plain)[0]
    assert experiment_key(plain, contents_of(plain["dataset"])) == folder
    assert experiment_key(config.to_dict(), PUBLISHED) == checkpoint
    assert clean_key(config, PUBLISHED) == clean


def test_runs_on_published_data_keep_the_names_that_older_versions_gave_them():
    plain = next(composed(["dataset=mnist5k", "precision=fp32"]))
    assert contents_of(plain["dataset"]).is_published
    assert experiment_key(plain, contents_of(plain["dataset"])) == experiment_key(plain)
    assert experiment_key(plain, Contents("0" * 16)) != experiment_key(plain)


def test_a_share_of_test_images_counts_where_it_is_asked_for():
    plain = next(composed(["dataset=image_folder", "dataset.folder=pets", "precision=fp32"]))
    asked = {**plain, "dataset": {**plain["dataset"], "test_share": 0.2}}
    older = {key: value for key, value in plain["dataset"].items() if key != "test_share"}
    assert experiment_key(plain) == experiment_key({**plain, "dataset": older}) != experiment_key(asked)


def test_a_run_folder_says_which_data_it_is_made_on(tmp_path):
    for name, contents in (("images", Contents("1" * 16)), ("digits", PUBLISHED)):
        folder = RunFolder(tmp_path / name)
        folder.start({"seed": 0}, [])
        folder.write_data(contents.fingerprint, is_published=contents.is_published)
    images, digits = (runs.read(tmp_path / name).settings for name in ("images", "digits"))
    assert images["dataset.contents"] == "1" * 16, "tables tell runs on other data apart"
    assert "dataset.contents" not in digits


def test_a_run_goes_on_only_with_its_data(tmp_path):
    RunFolder(tmp_path).write_data("1" * 16, is_published=False)
    resume.check_same_data(Contents("1" * 16), tmp_path)
    with pytest.raises(FlBackdoorError) as error:
        resume.check_same_data(Contents("2" * 16), tmp_path)
    assert str(error.value).startswith(
        f"{tmp_path}: the data changed: their fingerprint is 2222222222222222, it was 1111111111111111 when"
    )
    (tmp_path / "data.json").write_text(json.dumps({"published": True}))
    with pytest.raises(FlBackdoorError, match=r"data\.json is damaged: it names no fingerprint$"):
        resume.check_same_data(Contents("1" * 16), tmp_path)
    (tmp_path / "data.json").unlink()
    resume.check_same_data(Contents("1" * 16), tmp_path)  # as older versions left it
