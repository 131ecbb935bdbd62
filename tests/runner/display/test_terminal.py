"""Terminals that lack characters, pipes whose readers leave, and no terminal at all: real processes."""

import os
import subprocess
import sys

import pytest

from tests.analysis.report.made_runs import write_run
from tests.conftest import REPOSITORY

PROGRAM = """
import sys
from fl_backdoor.runner.display.terminal import as_process

def main():
    sys.stdout.write("α = 0.1 ± 0.05 · Zoë … \\U0001f600 \\udce9\\n")
    return 3

as_process(main)
"""

ENDLESS = """
import sys
from fl_backdoor.runner.display.terminal import as_process

def main():
    while True:
        print("a line")

as_process(main)
"""


def shell(command, **environment):
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", b"alpha = 0.1 +- 0.05 - Zoe ... ? ?\n"),
        ("latin-1", "alpha = 0.1 ± 0.05 · Zoë ... ? ?\n".encode("latin-1")),
        ("utf-8", "α = 0.1 ± 0.05 · Zoë … \U0001f600 ?\n".encode()),
    ],
)
def test_what_an_encoding_lacks_is_spelled(encoding, shown):
    done = shell(f'{sys.executable} -c "$PROGRAM"', PROGRAM=PROGRAM, PYTHONIOENCODING=encoding)
    assert (done.stdout, done.stderr, done.returncode) == (shown, b"", 3)


@pytest.mark.parametrize("program", [PROGRAM, ENDLESS])
def test_a_reader_that_has_enough_ends_the_process_quietly(program):
    done = shell(f'{sys.executable} -c "$PROGRAM" | head -n 0', PROGRAM=program)
    assert (done.stdout, done.stderr) == (b"", b"")
    assert done.returncode in (0, 3)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_without_a_terminal_nothing_is_shown_and_nothing_breaks(closed):
    done = shell(f'{sys.executable} -c "$PROGRAM" {closed}', PROGRAM=PROGRAM)
    assert (done.returncode, done.stderr) == (3, b"")


@pytest.mark.parametrize("command", ["table {0}", "compare {0} {0}", "watch --once {0}"])
def test_tables_are_shown_in_ascii(tmp_path, command):
    write_run(tmp_path / "a", "Krum", 0.1)
    write_run(tmp_path / "b", "Krum", 0.1, 7)
    done = shell(f"{sys.executable} -m fl_backdoor {command.format(tmp_path)}", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"60.0" in done.stdout
    assert done.stdout.isascii()


def test_a_help_page_is_cut_off_quietly():
    done = shell(f"{sys.executable} -m fl_backdoor.main --help | head -n 2")
    assert done.stdout.startswith(b"fl_backdoor: does this defence hold")
    assert done.stderr == b""
