"""Runs that are killed and go on, as a user does it: real processes, real signals, real files."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from fl_backdoor.core import table
from fl_backdoor.runs.columns import CLIENT_COLUMNS, ROUND_COLUMNS
from tests.drill import drill
from tests.runner.test_main import PROGRAM, SMALL, environment, run

# A rule and a trigger that both remember something.
RUN = [
    *SMALL,
    "num_rounds=4",
    "strategy._target_=tests.remembering.Remembering",
    *("attack/trigger=a3fl", "attack.trigger.steps=3", "attack.alpha=0.3"),
    "hydra.run.dir=found",
]
HOLD_A_CLOCK = {"run.log", "summary.json", "rounds.csv", "clients.csv"}


@pytest.fixture(scope="module")
def never_stopped(tmp_path_factory):
    folder = tmp_path_factory.mktemp("never_stopped")
    shown = run(folder, *RUN)
    assert shown.returncode == 0, shown.stdout
    return folder / "found"


def killed_after(server_round: int, folder: Path) -> Path:
    """Start the same run and kill all of its processes once a round is on the terminal."""
    with subprocess.Popen(
        [*PROGRAM, *RUN],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        for line in process.stdout:
            if line.startswith(f"round {server_round}/"):
                break
        os.killpg(process.pid, signal.SIGKILL)
    return folder / "found"


def without_clocks(file: Path, columns):
    return [
        {key: value for key, value in row.items() if "seconds" not in key}
        for row in table.read(file, columns)
    ]


def assert_equal_but_for_clocks(found: Path, wanted: Path):
    names = {path.name for path in wanted.iterdir()}
    assert {path.name for path in found.iterdir()} == names
    for name in names - HOLD_A_CLOCK:
        assert (found / name).read_bytes() == (wanted / name).read_bytes(), name
    for name, columns in (("rounds.csv", ROUND_COLUMNS), ("clients.csv", CLIENT_COLUMNS)):
        assert without_clocks(found / name, columns) == without_clocks(wanted / name, columns)
    chosen = [_untimed((folder / "summary.json").read_text()) for folder in (found, wanted)]
    assert chosen[0] == chosen[1]


def _untimed(summary: str) -> list[str]:
    return [line for line in summary.splitlines() if "started_at" not in line and "seconds" not in line]


def test_a_killed_run_goes_on_and_ends_as_if_nothing_had_happened(tmp_path, never_stopped):
    folder = killed_after(2, tmp_path)
    # The tables tell of a round that the checkpoint does not know yet, and end in the middle of a line.
    with (folder / "clients.csv").open("a") as file:
        file.write("3,0,false,false,,400,2\n3,1,fal")
    shown = run(tmp_path, *RUN, "resume=found")
    assert shown.returncode == 0, shown.stdout
    assert "going on after round" in shown.stdout
    assert "round 1/4" not in shown.stdout
    assert_equal_but_for_clocks(folder, never_stopped)
    # Where command lines differ they would be told apart: the one that made the run has no resume=.
    again = run(tmp_path, *RUN, "resume=found")
    assert again.returncode == 0
    assert again.stdout == f"finished already: {folder}\n"


@pytest.fixture
def cut_off(tmp_path, never_stopped):
    """A folder as a run leaves it that was killed before it could tell how it ended."""
    folder = tmp_path / "found"
    shutil.copytree(never_stopped, folder)
    (folder / "summary.json").unlink()
    return folder


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resume=nowhere"], "resume = nowhere: there is no such folder"),
        (["resume=."], "resume = .: holds no run; the folder of a multirun needs -m as well"),
        (["-m", "resume=found"], "resume = found: is the folder of one run, not of a multirun"),
        (["hydra.run.dir=found"], "found holds a run already: choose another folder, or go on with resume="),
    ],
)
def test_what_cannot_go_on_is_refused_in_one_line_and_loses_nothing(tmp_path, cut_off, arguments, message):
    before = {path.name: path.read_bytes() for path in cut_off.iterdir() if path.name != "run.log"}
    shown = run(tmp_path, *arguments, *RUN[:-1])
    assert shown.returncode in (1, 2)
    [line] = shown.stdout.splitlines()
    assert message in line.replace(f"{tmp_path}/", "")
    assert {path.name: path.read_bytes() for path in cut_off.iterdir() if path.name != "run.log"} == before


def test_other_data_are_refused_in_one_line(tmp_path, cut_off):
    (cut_off / "data.json").write_text('{"fingerprint": "0123456789abcdef", "published": false}')
    shown = run(tmp_path, *RUN, "resume=found")
    assert shown.returncode == 2
    [line] = shown.stdout.splitlines()
    assert "found: the data changed: their fingerprint is 8e99b0cab8661019, it was 0123456789abcdef" in line


def test_a_sweep_that_is_started_again_skips_and_goes_on(tmp_path, finished_sweep):
    sweep = ["-m", *SMALL, "attack.alpha=0,0.3", "num_rounds=2", "hydra.sweep.dir=found"]
    shutil.copytree(finished_sweep.folder, tmp_path / "found")
    [attacked] = (tmp_path / "found").glob("fedavg_alpha-0.3_*")
    model = load_file(attacked / "model.safetensors")
    shutil.rmtree(attacked)
    shown = run(tmp_path, *sweep, "+strategy.unknown=1")
    assert shown.returncode == 2, "another sweep is not taken for this one"
    shown = run(tmp_path, *sweep[:-1], "resume=found")
    assert shown.returncode == 0
    assert shown.stdout.count("finished already") == 1
    again = load_file(attacked / "model.safetensors")
    assert all((again[name] == model[name]).all() for name in model)


@pytest.fixture
def small_disk(tmp_path):
    """A disk on which the state of one round fits, but not that of the next beside it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "none", disk], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount a file system")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


@drill
def test_a_run_goes_on_after_a_full_disk(small_disk, never_stopped):
    shown = run(small_disk, *RUN)
    assert shown.returncode == 1
    assert "No space left on device" in shown.stdout
    assert "Traceback" not in shown.stdout
    subprocess.run(["mount", "-o", "remount,size=50m", small_disk], check=True)
    shown = run(small_disk, *RUN, "resume=found")
    assert shown.returncode == 0, shown.stdout
    assert_equal_but_for_clocks(small_disk / "found", never_stopped)
