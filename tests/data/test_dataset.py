import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fl_backdoor import plugins
from fl_backdoor.data.cifar10 import Cifar10
from fl_backdoor.data.dataset import Source, default_cache
from fl_backdoor.data.mnist5k import Mnist5k
from fl_backdoor.errors import ConfigError

REPOSITORY = Path(__file__).parents[2]
DATASETS = sorted((REPOSITORY / "conf" / "dataset").glob("*.yaml"))

NEEDED = {"image_folder": "folder", "torchvision": "set", "huggingface": "path"}


def settings_of(spec, needed):
    return {name: value for name, value in spec.items() if name != "_target_"} | {needed: "x"}


@pytest.mark.parametrize("file", DATASETS, ids=lambda file: file.stem)
def test_yaml_names_a_data_set_and_settings_that_it_takes(file):
    text = file.read_text()
    spec = yaml.safe_load(text)
    assert text.startswith("# ")
    assert plugins.resolve(spec, "dataset").name == file.stem
    if file.stem in NEEDED:
        needed = NEEDED[file.stem]
        with pytest.raises(ConfigError, match=rf"^dataset\.{needed} = None: must be a valid string"):
            plugins.settings(spec, "dataset")
        assert plugins.settings(spec | {needed: "x"}, "dataset") == settings_of(spec, needed)
        return
    assert plugins.settings(spec, "dataset") == {"root": None, "cache": None, "download": True}


def test_no_data_set_is_left_out():
    named = "auto cifar10 cifar100 fashion_mnist huggingface image_folder mnist5k sst2 torchvision"
    assert sorted(file.stem for file in DATASETS) == named.split()


HEAVY = {
    "torch",
    "torchvision",
    "pyarrow",
    "pandas",
    "PIL",
    "mlxtend",
    "datasets",
    "flwr_datasets",
    "flwr",
    "ray",
    "hydra",
}


def test_modules_are_light_to_import():
    modules = [
        f"fl_backdoor.data.{file.stem}" for file in (REPOSITORY / "fl_backdoor" / "data").glob("[a-z]*.py")
    ]
    assert "fl_backdoor.data.cifar10" in modules
    code = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert not HEAVY & set(run.stdout.split())


def test_root_is_the_setting_then_the_environment_then_data(monkeypatch, unnamed_root):
    assert Cifar10().root == Path("data")
    monkeypatch.setenv("FL_BACKDOOR_DATA", "/from/environment")
    assert Cifar10().root == Path("/from/environment")
    assert Cifar10(root="/from/setting").root == Path("/from/setting")


def test_cache_is_the_setting_then_the_users_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert Cifar10().cache == default_cache() == tmp_path / "xdg" / "fl_backdoor"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert Cifar10().cache == tmp_path / "home" / ".cache" / "fl_backdoor"
    assert Cifar10(cache=str(tmp_path)).cache == tmp_path


def test_fingerprint_follows_from_names_sizes_and_version_and_not_from_the_place(tmp_path):
    def source(folder, name, content, version=""):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).write_bytes(content)
        return Source((tmp_path / folder / name,), version)

    original = source("a", "x", b"123").fingerprint
    assert source("b", "x", b"456").fingerprint == original
    others = [source("a", "y", b"123"), source("a", "x", b"1234"), source("b", "x", b"123", "1.0")]
    assert len({original, *(other.fingerprint for other in others)}) == 4


def test_second_load_reads_the_cache_and_not_the_source(digits_cache, monkeypatch):
    monkeypatch.setattr(Mnist5k, "decode", lambda *_: pytest.fail("decoded twice"))
    assert Mnist5k(cache=str(digits_cache)).load().train.samples.shape == (4_000, 1, 28, 28)
    fingerprint = Mnist5k().locate().fingerprint
    assert [folder.name for folder in digits_cache.iterdir()] == [f"mnist5k-{fingerprint}"]
