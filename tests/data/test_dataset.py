import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from torchvision import datasets

from fl_backdoor.core import plugins
from fl_backdoor.core.errors import ConfigError, DataError
from fl_backdoor.data import contents
from fl_backdoor.data.cifar10 import Cifar10
from fl_backdoor.data.cifar100 import Cifar100
from fl_backdoor.data.dataset import Source, default_cache
from fl_backdoor.data.fashion_mnist import FashionMnist
from fl_backdoor.data.mnist5k import Mnist5k
from fl_backdoor.data.sst2 import Sst2

REPOSITORY = Path(__file__).parents[2]
DATASETS = sorted((REPOSITORY / "conf" / "dataset").glob("*.yaml"))

NEEDED = {"image_folder": "folder", "torchvision": "set", "huggingface": "path", "text_table": "folder"}


def settings_of(spec, needed):
    return {name: value for name, value in spec.items() if name != "_target_"} | {needed: "x"}


PRESETS = {
    *("cinic10", "emnist", "emnist_letters", "femnist", "gtsrb", "svhn", "tiny_imagenet"),
    *("ag_news", "imdb", "sentiment140"),
}
"""They have settings of their own, all of which stand in their files; see also `tests.data.test_presets`."""


@pytest.mark.parametrize("file", DATASETS, ids=lambda file: file.stem)
def test_yaml_names_a_data_set_and_settings_that_it_takes(file):
    text = file.read_text()
    spec = yaml.safe_load(text)
    assert text.startswith("# ")
    if file.stem in PRESETS:
        assert plugins.settings(spec, "dataset") == {key: spec[key] for key in spec if key != "_target_"}
        return
    assert plugins.resolve(spec, "dataset").name == file.stem
    if file.stem in NEEDED:
        needed = NEEDED[file.stem]
        with pytest.raises(ConfigError, match=rf"^dataset\.{needed} = None: must be a valid string"):
            plugins.settings(spec, "dataset")
        assert plugins.settings(spec | {needed: "x"}, "dataset") == settings_of(spec, needed)
        return
    assert plugins.settings(spec, "dataset") == {"root": None, "cache": None, "download": True}


def test_no_data_set_is_left_out():
    classes = {"auto", "cifar10", "cifar100", "fashion_mnist", "mnist5k", "sst2"}
    assert {file.stem for file in DATASETS} == classes | set(NEEDED) | PRESETS


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
    """All but `samples`, which makes batches of tensors."""
    modules = [
        f"fl_backdoor.data.{file.stem}"
        for file in (REPOSITORY / "fl_backdoor" / "data").glob("[a-z]*.py")
        if file.stem != "samples"
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


def fingerprint(place, checksum="sha256", **files):
    for name, content in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    return Source(place, tuple(place / name for name in files), checksum).fingerprint(
        place.parent / "remembered"
    )


def test_fingerprint_follows_from_names_and_bytes_and_not_from_the_place(tmp_path):
    found = fingerprint(tmp_path / "a", x=b"123", y=b"4")
    assert fingerprint(tmp_path / "b", y=b"4", x=b"123") == found
    # sha256sum, by hand, of both files, and of the list of their names and sums
    assert found == "6e2d857026816d4d"
    others = [{"x": b"456", "y": b"4"}, {"x": b"123", "z": b"4"}, {"x": b"123"}, {"x/x": b"123", "y": b"4"}]
    prints = {fingerprint(tmp_path / str(number), **files) for number, files in enumerate(others)}
    assert len({found, fingerprint(tmp_path / "c", "md5", x=b"123", y=b"4")} | prints) == 6


@pytest.fixture
def settled(tmp_path, monkeypatch):
    """A file whose times are old enough to be believed, and a folder for what was found."""
    monkeypatch.setattr(contents, "SETTLED_SECONDS", -1.0)
    (tmp_path / "file").write_bytes(b"one")
    return Source(tmp_path, (tmp_path / "file",)), tmp_path / "remembered"


def test_what_did_not_change_is_read_once(settled, monkeypatch):
    source, remembered = settled
    found = source.fingerprint(remembered)
    with monkeypatch.context() as patched:
        patched.setattr(contents.hashlib, "file_digest", lambda *_: pytest.fail("read twice"))
        assert source.fingerprint(remembered) == found
    [note] = remembered.iterdir()
    note.write_text("damaged")
    assert source.fingerprint(remembered) == found


def test_a_file_edited_in_place_is_noticed_even_if_its_time_is_put_back(settled):
    source, remembered = settled
    [file], before = source.files, source.files[0].stat()
    found = source.fingerprint(remembered)
    with file.open("r+b") as stream:
        stream.write(b"two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert source.fingerprint(remembered) != found


def test_what_was_written_just_now_is_not_noted(tmp_path):
    fingerprint(tmp_path / "set", x=b"1")
    assert not (tmp_path / "remembered").exists()


def test_a_file_that_cannot_be_read_is_one_line(tmp_path):
    with pytest.raises(DataError) as error:
        Source(tmp_path, (tmp_path / "gone",)).fingerprint(tmp_path / "remembered")
    expected = f"dataset.root: {tmp_path}/gone cannot be read (No such file or directory)"
    assert str(error.value) == expected


@pytest.mark.parametrize(
    ("kind", "official"),
    [(Cifar10, datasets.CIFAR10), (Cifar100, datasets.CIFAR100)],
    ids=["cifar10", "cifar100"],
)
def test_torchvisions_files_are_known_by_their_published_sums(kind, official, tmp_path):
    """The constant follows from torchvision's own list, by which it checks what was downloaded."""
    sums = [*official.train_list, *official.test_list, [official.meta["filename"], official.meta["md5"]]]
    chosen = hashlib.sha256(json.dumps(sorted(sums)).encode()).hexdigest()[:16]
    assert chosen in kind.published
    folder = tmp_path / official.base_folder
    folder.mkdir()
    names = sorted(name for name, _ in sums)
    for name in names:
        (folder / name).write_bytes(b"")
    source = kind(root=str(tmp_path)).locate()
    assert (sorted(file.name for file in source.files), source.checksum) == (names, "md5")


@pytest.mark.parametrize("kind", [Cifar10, FashionMnist, Sst2])
def test_the_published_files_are_known_by_name_and_any_others_by_contents(kind, data_root, tmp_path):
    source = kind(root=str(data_root)).locate()
    if source is None:
        pytest.skip(f"no {kind.name} in {data_root}")
    place = tmp_path / "copy" / source.folder.relative_to(data_root)
    shutil.copytree(source.folder, place)
    copy = kind(root=str(tmp_path / "copy"), cache=str(tmp_path / "cache"))
    assert copy.contents().beside_the_name is None
    other = place / source.files[-1].name
    other.write_bytes(other.read_bytes()[:-1] + b"?")
    assert copy.contents().beside_the_name == copy.contents().fingerprint


def test_the_embedded_digits_are_known_by_name(digits_cache):
    loaded = Mnist5k(cache=str(digits_cache)).load()
    assert loaded.contents == Mnist5k().contents()
    assert loaded.contents.is_published


def test_second_load_reads_the_cache_and_not_the_source(digits_cache, monkeypatch):
    monkeypatch.setattr(Mnist5k, "decode", lambda *_: pytest.fail("decoded twice"))
    assert Mnist5k(cache=str(digits_cache)).load().train.samples.shape == (4_000, 1, 28, 28)
    fingerprint = Mnist5k().locate().fingerprint(digits_cache)
    assert [folder.name for folder in digits_cache.glob("mnist5k*")] == [f"mnist5k-{fingerprint}"]
