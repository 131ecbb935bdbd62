import os
import subprocess
from importlib import metadata

import pytest

from fl_backdoor.runs.environment import git_state, hardware, usable_cores, versions


def git(folder, *arguments):
    identity = ["-c", "user.name=Tester", "-c", "user.email=tester@example.org"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "module.py").write_text("one = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path


def test_a_clean_checkout(checkout):
    assert git_state(checkout / "package") == (git(checkout, "rev-parse", "HEAD"), False)


@pytest.mark.parametrize("name", ["package/module.py", "package/new_plugin.py"])
def test_a_changed_or_new_file_makes_it_dirty(checkout, name):
    (checkout / name).write_text("one = 2\n")
    assert git_state(checkout / "package") == (git(checkout, "rev-parse", "HEAD"), True)


def test_a_package_installed_inside_another_checkout_has_no_commit(checkout):
    installed = checkout / "venv" / "package"
    installed.mkdir(parents=True)
    (installed / "module.py").write_text("one = 1\n")
    assert git_state(installed) == (None, None)


def test_outside_a_checkout_there_is_no_commit(tmp_path):
    assert git_state(tmp_path) == (None, None)


def test_versions_are_those_that_are_installed():
    found = versions()
    assert list(found) == [
        "python", "flwr", "torch", "torchvision", "ray", "numpy", "hydra-core", "fl-backdoor",
    ]  # fmt: skip
    assert found["numpy"] == metadata.version("numpy")


def test_hardware():
    found = hardware(["Some GPU"])
    assert found["cpu"]
    assert found["gpus"] == ["Some GPU"]
    assert found["memory_gb"] > 0.5


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot bind processes")
def test_cores_that_this_process_may_not_use_do_not_count():
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert usable_cores() == len(allowed)
