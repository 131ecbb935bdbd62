"""Names of our packages in a user's folder: the bench finds its own, and says so where it cannot."""

import os
import subprocess
import sys

import pytest

from tests.runner.test_main import REPOSITORY, environment

TELL = """
import sys
{first}
import fl_backdoor, clients, conf, strategies, strategies.base
print(all(module.__file__.startswith(sys.argv[1]) for module in (clients, conf, strategies, strategies.base)))
"""


def output(folder, first):
    """Return what a process in `folder` says that does `first` before it imports anything of ours."""
    command = [sys.executable, "-c", TELL.format(first=first), f"{REPOSITORY}{os.sep}"]
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path):
    """A folder of somebody who likes our names."""
    for package in ("clients", "strategies"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("")
    (tmp_path / "strategies" / "base.py").write_text("mine = True\n")
    (tmp_path / "conf.py").write_text("mine = True\n")
    return tmp_path


@pytest.mark.parametrize(
    "first",
    [
        "",
        "import clients, conf, strategies.base as theirs; assert conf.mine and theirs.mine",
        "import fl_backdoor; sys.modules.pop('strategies', None)",
    ],
    ids=["ours first", "theirs first", "ours again"],
)
def test_ours_are_found_whatever_was_imported_before(folder, first):
    shown = output(folder, first)
    assert (shown.stdout, shown.stderr) == ("True\n", "")


def test_a_package_of_our_name_that_imports_ours_is_told_to_take_another_one(folder):
    (folder / "strategies" / "base.py").write_text("from fl_backdoor.core.types import Positive\n")
    shown = output(folder, "import strategies.base")
    assert shown.stderr.splitlines()[-1] == (
        f"ImportError: {folder}/strategies/base.py: beside fl_backdoor, strategies is the name of a package "
        "of its own; give yours another one"
    )


def test_nothing_is_imported_before_it_is_needed(folder):
    shown = output(folder, "import fl_backdoor; print([n for n in sys.modules if n[:4] in ('stra', 'clie')])")
    assert shown.stdout == "[]\nTrue\n"
