"""The program as a user starts it: real processes, real files."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from fl_backdoor.runs.columns import CLIENT_COLUMNS, ROUND_COLUMNS

PROGRAM = [sys.executable, "-m", "fl_backdoor.main"]
SMALL = [
    *("dataset=mnist5k", "client.local_steps=2", "partition.num_clients=4", "attack.num_malicious=1"),
    "engine.num_workers=1",  # a second one takes three seconds to start
]
HEED_INTERRUPTS = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
"""A shell has its background jobs ignore interrupts, and what they start inherits that; this undoes it."""

INTERRUPT_AS_A_CHOICE_OPENS = """
import pathlib, runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
opened = pathlib.Path.open
def interrupted(file, *arguments, **named):
    if file.suffix == ".yaml":
        signal.raise_signal(signal.SIGINT)
    return opened(file, *arguments, **named)
pathlib.Path.open = interrupted
runpy.run_module("fl_backdoor.main", run_name="__main__", alter_sys=True)
"""
"""What Hydra does next, closing a file that is not open, hides the interrupt behind an error."""

REPOSITORY = Path(__file__).parents[2]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(REPOSITORY)}


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments], cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )


def table(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_help_lists_the_choices(tmp_path):
    shown = run(tmp_path, "--help")
    assert shown.returncode == 0
    [strategies] = [line for line in shown.stdout.splitlines() if line.startswith("strategy: ")]
    assert {"clip_avg", "fedavg", "flower", "hybrid", "iqr_filter"} <= set(strategies[10:].split(", "))
    datasets = sorted(file.stem for file in (REPOSITORY / "conf" / "dataset").glob("*.yaml"))
    assert {"auto", "cifar10", "huggingface", "sst2", "svhn"} <= set(datasets)
    assert f"dataset: {', '.join(datasets)}" in shown.stdout
    [models] = [line for line in shown.stdout.splitlines() if line.startswith("model: ")]
    assert {"cnn", "embedding", "lstm", "resnet9", "torchvision", "vgg11", "vit"} <= set(
        models[7:].split(", ")
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["attack.alpha=2"], "attack.alpha = 2: must be less than or equal to 1"),
        (["-m", "attack.num_malicious=3,11"], "attack.num_malicious = 11: must be at most"),
        (["strategy=none"], "strategy = none: must be one of "),
    ],
)
def test_a_wrong_setting_ends_in_one_line_before_any_work(tmp_path, arguments, message):
    shown = run(tmp_path, *arguments)
    assert shown.returncode == 2
    [line] = shown.stdout.splitlines()
    assert line.startswith(f"fl_backdoor: {message}")
    assert shown.stderr == ""
    assert list(tmp_path.iterdir()) == []


REFUSES_WHAT_IS_HEAVY = """
import runpy, sys
sys.modules.update(dict.fromkeys(sys.argv.pop(1).split(",")))
runpy.run_module("fl_backdoor.main", run_name="__main__", alter_sys=True)
"""
"""A module that is None in there cannot be imported."""

NO_RUN = "torch,ray,flwr,flwr_datasets,matplotlib,pandas"


@pytest.mark.parametrize(
    ("refused", "arguments", "status", "shown"),
    [
        (NO_RUN, ["--help"], 0, "fl_backdoor: does this defence hold"),
        (NO_RUN, ["attack.alpha=2"], 2, "fl_backdoor: attack.alpha = 2"),
        (NO_RUN, ["dataset=mnist5k", "attack.target_label=10"], 2, "fl_backdoor: attack.target_label = 10"),
        (
            "torch,ray",
            ["dataset=mnist5k", "+strategy.gamma=1"],
            2,
            "fl_backdoor: strategy.gamma = 1: no such",
        ),
        (NO_RUN, ["hydra.run.dir=/dev/null/a"], 2, "fl_backdoor: hydra.run.dir = /dev/null/a: cannot be wri"),
        (NO_RUN, ["-m", "seed=0,1", "outputs=/dev/null"], 2, "fl_backdoor: hydra.sweep.dir = /dev/null/mul"),
        ("flwr", ["dataset=mnist5k"], 2, "fl_backdoor: strategy._target_ = strategies.FedAvg: cannot"),
    ],
)
def test_only_runs_need_what_is_heavy(tmp_path, refused, arguments, status, shown):
    done = subprocess.run(
        [sys.executable, "-c", REFUSES_WHAT_IS_HEAVY, refused, *arguments],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert done.stdout.startswith(shown)


def test_a_wrong_plug_in_setting_leaves_no_ray_behind(tmp_path):
    program = [*PROGRAM, "dataset=mnist5k", "engine.num_workers=1", "+model.width=3"]
    with subprocess.Popen(
        program, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        [line] = process.stdout.read().splitlines()
        assert process.wait() == 2
    assert line.startswith("fl_backdoor: model.width = 3: no such setting")
    assert _is_gone(process.pid)


def fill_with_our_names(folder: Path) -> None:
    """Write what people have in their folders, under the names of our own packages."""
    for file in (
        "conf/__init__.py",
        "conf/config.yaml",
        "clients/__init__.py",
        "strategies.py",
        "fl_backdoor/x",
    ):
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text(
            "lr: 0.1\n" if file.endswith("yaml") else "raise ImportError('not ours')\n"
        )


def test_a_sweep_has_a_folder_a_run_a_table_and_a_figure(finished_sweep):
    folder = finished_sweep.folder
    rows = {row["attack.alpha"]: row for row in table(folder / "sweep.csv")}
    assert rows.keys() == {"0.0", "0.3"}
    assert (folder / "success_rate_by_alpha.png").stat().st_size > 5000
    for row in rows.values():
        summary = json.loads((folder / row["run"] / "summary.json").read_text())
        for name in ("main_task_accuracy", "attack_success_rate", "success_rate"):
            assert float(row[name]) == summary[name]


def test_a_run_folder_holds_all_that_is_needed(finished_sweep):
    [folder] = finished_sweep.folder.glob("fedavg_alpha-0.3_seed-0_*")
    names = {file.name for file in folder.iterdir()}
    assert names >= {
        "config.yaml",
        "rounds.csv",
        "clients.csv",
        "class_accuracy.csv",
        "labels.csv",
        "summary.json",
        "model.safetensors",
        "accuracy_and_success.png",
        "samples.png",
        "run.log",
    }
    rounds, clients = table(folder / "rounds.csv"), table(folder / "clients.csv")
    assert tuple(rounds[0]) == ROUND_COLUMNS
    assert tuple(clients[0]) == CLIENT_COLUMNS
    assert [row["server_round"] for row in rounds] == ["0", "1", "2"]
    assert [row["client_id"] for row in clients] == ["0", "1", "2", "3"] * 2
    assert sum(row["attacking"] == "true" for row in clients) == 2
    assert sum(float(row["weight"]) for row in clients) == pytest.approx(2)


def test_the_baseline_of_a_clean_model_stands_beside_the_figures(finished_sweep):
    folder = finished_sweep.folder
    [clean], [attacked] = (folder.glob(f"fedavg_alpha-{alpha}_*") for alpha in ("0", "0.3"))
    baseline = json.loads((clean / "summary.json").read_text())
    summary = json.loads((attacked / "summary.json").read_text())
    assert baseline["attacks"] is False
    assert summary["attacks"] is True
    for name in ("main_task_accuracy", "attack_success_rate", "success_rate"):
        assert summary[f"clean_{name}"] == baseline[name]
        assert table(attacked / "rounds.csv")[2][f"clean_{name}"] == repr(baseline[name])


def test_the_log_of_each_run_says_who_wrote_what(finished_sweep):
    # In the first one Ray starts, which gives its own lines another format.
    for log in finished_sweep.folder.glob("*/run.log"):
        assert re.search(r"^\d{4}-\d\d-\d\d \S+ INFO flwr: .*ROUND 1/2", log.read_text(), re.MULTILINE)


def test_the_terminal_shows_rounds_and_nothing_else(finished_sweep):
    lines = finished_sweep.stdout.splitlines()
    rounds = ["round"] * 3
    assert [line.split()[0] for line in lines] == ["run", "mnist5k", *rounds, "finished:"] * 2
    assert finished_sweep.stderr == ""


@contextmanager
def running(tmp_path, num_workers=1):
    """Start a run without end in a group of its own, and wait until its third round is under way."""
    program = [sys.executable, "-c", HEED_INTERRUPTS, *PROGRAM[1:]]
    arguments = [*program, *SMALL, "num_rounds=100000", "hydra.run.dir=found"]
    arguments.append(f"engine.num_workers={num_workers}")
    with subprocess.Popen(
        arguments,
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("round      2/"):
                break
        yield process


def test_an_interrupted_run_ends_soon_with_what_was_done_on_disk(tmp_path):
    with running(tmp_path) as process:
        # As a terminal does it: the whole group gets the signal.
        os.killpg(process.pid, signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(timeout=120) == 130
    assert "interrupted" in rest
    assert "Traceback" not in rest
    summary = json.loads((tmp_path / "found" / "summary.json").read_text())
    rounds = table(tmp_path / "found" / "rounds.csv")
    assert summary["status"] == "stopped"
    assert summary["rounds_finished"] == len(rounds) - 1 >= 2
    assert (tmp_path / "found" / "model.safetensors").exists()
    assert _is_gone(process.pid), "no worker is left behind"


def test_an_interrupt_while_a_sweep_is_composed_is_one_line(tmp_path):
    program = [sys.executable, "-c", INTERRUPT_AS_A_CHOICE_OPENS, "-m", "seed=range(0,1000)"]
    shown = subprocess.run(
        program, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert shown.stdout == "fl_backdoor: interrupted; what was done so far is on disk\n"
    assert (shown.stderr, shown.returncode) == ("", 130)


def test_a_killed_run_leaves_no_shared_memory_behind(tmp_path):
    """It has no name: it is gone with the last process that holds it; two idle agents of Ray go later."""
    with running(tmp_path, num_workers=2) as process:
        assert len(_holders(process.pid)) == 3, "the server and two workers"
        process.kill()
        process.wait()
        assert _comes_true(lambda: not _holders(process.pid))
    assert table(tmp_path / "found" / "rounds.csv")[-1]["server_round"] >= "2"


def _is_gone(group: int) -> bool:
    return _comes_true(lambda: not _members(group))


def _comes_true(condition) -> bool:
    for _ in range(100):
        if condition():
            return True
        time.sleep(0.2)
    return False


def _members(group: int) -> list[int]:
    processes = (int(folder.name) for folder in Path("/proc").glob("[0-9]*"))
    return [process for process in processes if _group_of(process) == group]


def _holders(group: int) -> list[int]:
    """Return the processes of a group that have shared memory of ours open."""
    return [process for process in _members(group) if "memfd:fl_backdoor" in _maps_of(process)]


def _group_of(process: int) -> int | None:
    try:
        return os.getpgid(process)
    except ProcessLookupError:
        return None


def _maps_of(process: int) -> str:
    try:
        return Path(f"/proc/{process}/maps").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
