import subprocess
import sys

import pytest

from fl_backdoor.errors import FlBackdoorError
from fl_backdoor.results.lock import is_held, only_writer

HOLDS = """
import sys
from pathlib import Path
from fl_backdoor.results.lock import only_writer
with only_writer(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the folder ``run`` until it is killed."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, tmp_path / "run"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_folder_has_one_writer_and_a_killed_one_holds_nothing(tmp_path, holder):
    folder = tmp_path / "run"
    with (
        pytest.raises(FlBackdoorError, match="is being written by a run that still goes on"),
        only_writer(folder),
    ):
        pass
    assert is_held(folder)
    holder.kill()
    holder.wait()
    assert not is_held(folder)
    with only_writer(folder):
        pass
    assert list(folder.iterdir()) == [], "no file tells of the lock"


def test_whoever_waits_gets_it_afterwards(tmp_path, holder):
    holder.stdin.close()
    with only_writer(tmp_path / "run", wait=True):
        assert holder.wait() == 0
