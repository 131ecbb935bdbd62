"""Several runs at a time in processes of their own: real processes, real signals, real files."""

import json
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import pytest

from fl_backdoor.config.schema import parse_whole
from fl_backdoor.runner.composition import composed
from fl_backdoor.runner.display.live import Display
from fl_backdoor.runner.display.redirect import Redirect
from fl_backdoor.runner.job import Job
from fl_backdoor.runner.side_by_side import RayDidNotStart, SideBySide
from tests.drill import drill
from tests.runner.test_main import (
    HEED_INTERRUPTS,
    PROGRAM,
    SMALL,
    _is_gone,
    environment,
    fill_with_our_names,
    run,
    table,
)

SWEEP = ["-m", *SMALL, "strategy=fedavg,hybrid", "attack.alpha=0.3,0"]
STARTED = re.compile(r"\[strategy=(\S+) attack.alpha=(\S+)\] mnist5k")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """Four runs, two at a time: their folder, and what was printed."""
    folder = tmp_path_factory.mktemp("two")
    fill_with_our_names(folder)
    shown = run(folder, *SWEEP, "num_rounds=2", "jobs=2", "hydra.sweep.dir=found")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    return folder / "found", shown


def test_runs_side_by_side_are_the_same_runs(finished_sweep, sweep):
    """As two of them that were made one after the other."""
    one, (two, _) = finished_sweep.folder, sweep
    names = {path.parent.name for path in one.glob("*/summary.json")}
    assert len(names) == 2
    found = {path.parent.name for path in two.glob("*/summary.json")}
    assert len(found) == 4
    assert found > names
    for name in names:
        for file in (
            *("model.safetensors", "labels.csv", "class_accuracy.csv"),
            *("samples.png", "accuracy_and_success.png"),
        ):
            assert (one / name / file).read_bytes() == (two / name / file).read_bytes()


def test_clean_models_come_first_and_stand_beside_the_others(sweep):
    two, shown = sweep
    started = STARTED.findall(shown.stdout)
    assert {alpha for _, alpha in started[:2]} == {"0"}
    assert len(started) == 4, "nothing is trained that a run of the sweep is anyway"
    figures = {(row["strategy"], row["attack.alpha"]): row for row in table(two / "sweep.csv")}
    for strategy in ("FedAvg", "Hybrid"):
        baseline = figures[strategy, "0.0"]["success_rate"]
        assert figures[strategy, "0.3"]["clean_success_rate"] == baseline
    assert shown.stderr == ""


@contextmanager
def going_on(folder: Path):
    """Start two endless runs side by side, and wait until both have finished their first round."""
    program = [sys.executable, "-c", HEED_INTERRUPTS, *PROGRAM[1:]]
    arguments = ["-m", *SMALL, "num_rounds=100000", "seed=0,1", "clean_baseline=known", "jobs=2"]
    with subprocess.Popen(
        [*program, *arguments, "hydra.sweep.dir=found"],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        waiting_for = {"[seed=0] round      1/", "[seed=1] round      1/"}
        for line in process.stdout:
            if "Ray did not start" in line:  # one after the other then, and the second would never begin
                os.killpg(process.pid, signal.SIGKILL)
                pytest.fail(line)
            waiting_for = {start for start in waiting_for if not line.startswith(start)}
            if not waiting_for:
                break
        yield process


def children(process: int) -> list[int]:
    """Return the processes that make runs for another one."""
    listed = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(child) for child in listed if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def killed_one(process):
    """Kill the process of one run, and return the seed of that run."""
    os.kill(children(process.pid)[0], signal.SIGKILL)
    said = next(line for line in process.stdout if "died" in line)
    assert re.search(r"the process of seed=[01] died; resume=\S*found goes on with it", said)
    [dead] = re.findall(r"seed=([01])", said)
    return int(dead)


def test_a_process_that_dies_costs_its_run_alone_and_an_interrupt_ends_the_others(tmp_path):
    with going_on(tmp_path) as process:
        workers = children(process.pid)
        dead = killed_one(process)
        assert any(line.startswith(f"[seed={1 - dead}] round") for line in process.stdout)
        os.killpg(process.pid, signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(timeout=120) == 130
    assert "interrupted" in rest
    assert "Traceback" not in rest
    [file] = (tmp_path / "found").glob(f"*_seed-{1 - dead}_*/summary.json")
    assert json.loads(file.read_text())["status"] == "stopped"
    assert len(workers) == 2
    assert all(_is_gone(group) for group in (process.pid, *workers))


@drill
def test_nobody_goes_on_without_the_first_process(tmp_path):
    with going_on(tmp_path) as process:
        workers = children(process.pid)
        process.kill()
        process.wait()
    assert all(_is_gone(group) for group in workers)


def test_without_a_ray_to_share_no_run_is_begun_and_it_is_said_in_one_line(tmp_path):
    config, _ = parse_whole(next(composed(["dataset=mnist5k"])))
    job = Job(config, tmp_path / "run", sweep_folder=tmp_path, overrides=(), go_on=True)
    with Redirect() as redirect, Display(redirect.terminal) as display:
        workers = SideBySide(display, redirect, num_jobs=1)
        workers._ray = Future()
        workers._ray.set_exception(OSError("no sockets here\nand more"))
        with pytest.raises(RayDidNotStart) as said:
            workers.work([job])
        workers.close()
    log = tmp_path / "processes.log"
    assert str(said.value) == f"jobs = 1: Ray did not start (OSError: no sockets here; see {log})"
    assert "Traceback" in log.read_text()
    assert not (tmp_path / "run").exists()
