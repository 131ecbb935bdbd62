import subprocess
import sys

import pytest

from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.runs.lock import is_held, only_writer, own_folder

HOLDS = """
import sys
from pathlib import Path
from fl_backdoor.runs.lock import only_writer
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


def test_every_run_that_the_clock_names_alike_has_a_folder_of_its_own(tmp_path):
    folder = tmp_path / "day" / "10-15-00_hybrid"
    taken = [own_folder(folder, "run.log") for _ in range(3)]
    assert [path.name for path in taken] == ["10-15-00_hybrid", "10-15-00_hybrid-2", "10-15-00_hybrid-3"]
    assert all((path / "run.log").exists() for path in taken)
