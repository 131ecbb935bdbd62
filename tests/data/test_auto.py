import pytest

from fl_backdoor.core import plugins
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.data import cifar10
from fl_backdoor.data.auto import Auto, resolve
from fl_backdoor.data.cifar10 import Cifar10
from fl_backdoor.data.mnist5k import Mnist5k

AUTO = "fl_backdoor.data.auto.Auto"
CIFAR10 = "fl_backdoor.data.cifar10.Cifar10"
MNIST5K = "fl_backdoor.data.mnist5k.Mnist5k"


def test_takes_cifar10_where_it_is_on_disk(data_root, tmp_path):
    settings = {"root": str(data_root), "cache": str(tmp_path), "download": False}
    spec, notice = resolve({"_target_": AUTO, **settings})
    assert spec == {"_target_": CIFAR10, **settings}
    assert notice is None


def test_takes_cifar10_where_it_is_only_cached(cifar_cache, unnamed_root):
    spec, notice = resolve({"_target_": AUTO, "cache": str(cifar_cache), "download": False})
    assert spec["_target_"] == CIFAR10
    assert notice is None


def test_takes_cifar10_where_it_can_be_downloaded(tmp_path, served, monkeypatch):
    folder, url = served
    (folder / "cifar.tar.gz").touch()
    monkeypatch.setattr(cifar10, "URL", f"{url}cifar.tar.gz")
    spec, notice = resolve({"_target_": AUTO, "root": str(tmp_path / "root"), "cache": str(tmp_path)})
    assert spec["_target_"] == CIFAR10
    assert notice is None


def test_falls_back_without_folder_and_network(tmp_path, digits_cache, closed_url, monkeypatch):
    monkeypatch.setattr(cifar10, "URL", closed_url)
    settings = {"root": str(tmp_path), "cache": str(digits_cache), "download": True}
    spec, notice = resolve({"_target_": AUTO, **settings})
    assert spec == {"_target_": MNIST5K, **settings}
    for part in ("cifar10", str(tmp_path), "127.0.0.1 cannot be reached", "mnist5k"):
        assert part in notice
    assert "\n" not in notice
    assert plugins.build(spec, "dataset").load().train.samples.shape == (4_000, 1, 28, 28)


def test_falls_back_where_downloads_are_forbidden(tmp_path):
    spec, notice = resolve(
        {"_target_": AUTO, "root": str(tmp_path), "cache": str(tmp_path), "download": False}
    )
    assert spec["_target_"] == MNIST5K
    assert "dataset.download is false" in notice


@pytest.mark.parametrize("target", [CIFAR10, MNIST5K])
def test_other_data_sets_come_back_as_they_are(tmp_path, target):
    spec = {"_target_": target, "root": str(tmp_path), "download": False}
    assert resolve(spec) == (spec, None)


def test_a_damaged_cifar10_is_not_hidden_by_a_fallback(tmp_path):
    (tmp_path / "train-00000-of-00001.parquet").touch()
    assert resolve({"_target_": AUTO, "root": str(tmp_path)})[0]["_target_"] == CIFAR10


def test_wrong_setting_is_named():
    with pytest.raises(ConfigError, match=r"^dataset\.rot = "):
        resolve({"_target_": AUTO, "rot": "x"})


def test_checks_know_the_number_of_classes_beforehand():
    assert Auto.num_classes == Cifar10.num_classes == Mnist5k.num_classes
