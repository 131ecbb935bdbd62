"""``fl-backdoor`` as it is installed, and ``python -m fl_backdoor``: real processes."""

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from fl_backdoor import __version__
from fl_backdoor.cli.program import COMMANDS, main, program
from tests.runner.test_main import fill_with_our_names

REPOSITORY = Path(__file__).parents[2]
SCRIPT = Path(sys.executable).with_name("fl-backdoor")
WAYS = {"script": [str(SCRIPT)], "module": [sys.executable, "-m", "fl_backdoor"]}

REFUSES_WHAT_IS_HEAVY = """
import sys
sys.modules.update(dict.fromkeys(sys.argv.pop(1).split(",")))
from fl_backdoor import __version__
from fl_backdoor.cli.program import program
program()
"""
"""A module that is None in there cannot be imported."""

HEAVY = "torch,ray,flwr,matplotlib,pandas,plotly,scipy,cryptography"


def called(program: list[str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        [*program, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_the_script_is_the_program():
    [found] = entry_points(group="console_scripts", name="fl-backdoor")
    assert found.load() is program


def test_help_lists_every_command_and_each_is_a_module(capsys):
    assert main(["--help"]) == 0
    shown = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    folder = REPOSITORY / "fl_backdoor" / "cli"
    modules = {file.stem for file in folder.glob("*.py")} - {
        "__init__",
        "also",
        "program",
        "output",
        "flower_app",
    }
    assert shown == list(COMMANDS)
    assert set(COMMANDS) == modules


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_imports_nothing_heavy(tmp_path, name):
    heavy = HEAVY if name in ("run", "watch") else f"{HEAVY},hydra"
    refusing = [sys.executable, "-c", REFUSES_WHAT_IS_HEAVY, heavy]
    done = called(refusing, tmp_path, name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    start = "fl_backdoor: does this defence hold" if name == "run" else f"usage: fl-backdoor {name} "
    assert done.stdout.startswith(start)


@pytest.mark.parametrize(
    ("asked", "meant"),
    [("tabel", "; did you mean table?"), ("strategy=hybrid", "; did you mean run?"), ("\x1bx\ny", "")],
)
def test_an_unknown_command_is_one_line(capsys, asked, meant):
    assert main([asked, "--help"]) == 2
    names = "run, data, report, table, matrix, compare, watch, certs, register, node"
    said = asked.replace("\x1b", " ").replace("\n", " ")
    assert capsys.readouterr().err == f"fl_backdoor: command = {said}: must be one of {names}{meant}\n"


@pytest.mark.parametrize("way", WAYS)
def test_both_ways_find_a_users_own_module_beside_others_of_our_names(tmp_path, way):
    """And an error of a run is its line and its exit code, as in ``python -m fl_backdoor.main``."""
    fill_with_our_names(tmp_path)
    (tmp_path / "nets.py").write_text("def net(image_shape, num_classes):\n    return image_shape\n")
    done = called(
        WAYS[way], tmp_path, "run", "dataset=mnist5k", "engine.num_workers=1", "model._target_=nets.net"
    )
    expected = "fl_backdoor: model._target_ = nets.net: makes a tuple, not a torch.nn.Module\n"
    assert (done.stdout, done.stderr, done.returncode) == (expected, "", 2)


@pytest.mark.parametrize("way", WAYS)
def test_exit_codes_are_those_of_the_command(tmp_path, way):
    done = called(WAYS[way], tmp_path, "table", "there_is_no_such_folder")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("fl_backdoor: there_is_no_such_folder: ")


def test_the_version_is_told(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"fl_backdoor {__version__}\n"
