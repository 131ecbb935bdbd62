"""Trackers beside real runs."""

import csv
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.runner.tracking.test_wandb import history

SMALL = [
    "dataset=mnist5k",
    "client.local_steps=1",
    "partition.num_clients=2",
    "attack.num_malicious=1",
    "num_rounds=1",
    "engine.num_workers=1",
]
REPOSITORY = Path(__file__).parents[3]


def run(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "fl_backdoor.main", *SMALL, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def numbers(folder):
    """Return the numbers in rounds.csv by column and round, read without the program; none has diverged."""
    with (folder / "rounds.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    return {
        (name, int(row["server_round"])): float(cell)
        for row in rows
        for name, cell in (row | {"diverged": "0"}).items()
        if cell not in {"", "true", "false"} and name != "server_round"
    }


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """A multirun, followed by MLflow, TensorBoard and then W&B: where it was started."""
    folder = tmp_path_factory.mktemp("tracked")
    shown = run(
        folder,
        "tracking=mlflow,tensorboard,wandb",
        "hydra.sweep.dir=found",
        "hydra.sweep.subdir=${hydra:job.num}",
        "clean_baseline=known",
        "-m",
    )
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "NOTICE" not in shown.stdout
    return folder


def test_mlflow_holds_what_the_tables_hold(sweep):
    with closing(sqlite3.connect(sweep / "outputs" / "mlflow.db")) as database:
        metrics = database.execute("SELECT key, step, value FROM metrics").fetchall()
        runs = database.execute(
            "SELECT runs.name, experiments.name, status, artifact_uri "
            "FROM runs JOIN experiments USING (experiment_id)"
        ).fetchall()
    assert {(name, step): value for name, step, value in metrics} == numbers(sweep / "found" / "0")
    [(name, experiment, status, artefacts)] = runs
    assert (name, experiment, status) == ("0", "found", "FINISHED")
    copied = {file.name for file in Path(artefacts.removeprefix("file://")).iterdir()}
    assert copied == {"accuracy_and_success.png", "config.yaml", "samples.png", "summary.json"}


def test_tensorboard_holds_what_the_table_holds(sweep):
    folder = sweep / "found" / "1"
    found = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    scalars = {
        (tag, event.step): event.value for tag in found.Tags()["scalars"] for event in found.Scalars(tag)
    }
    assert scalars == {of: float(np.float32(figure)) for of, figure in numbers(folder).items()}


def test_wandbs_offline_file_holds_what_the_table_holds(sweep):
    folder = sweep / "found" / "2"
    [file] = folder.glob("wandb/offline-run-*/run-*.wandb")
    found = {(name, step): value for name, steps in history(file).items() for step, value in steps.items()}
    assert found == numbers(folder)


def test_a_tracker_that_hangs_holds_nothing_up(tmp_path):
    shown = run(tmp_path, "+tracking._target_=tests.trackers.Hanging", "hydra.run.dir=found")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert (tmp_path / "found" / "hanging").exists()
    [notice] = [line for line in shown.stdout.splitlines() if line.startswith("NOTICE")]
    assert notice.startswith("NOTICE: tracking: Hanging of found was not done 10 s after the end")
    assert notice.removeprefix("NOTICE: ") in (tmp_path / "found" / "run.log").read_text()
    assert len(numbers(tmp_path / "found")) > 10


def test_a_missing_package_ends_in_one_line_before_any_work(tmp_path):
    shown = run(tmp_path, "seed=0,1", "+tracking._target_=tests.trackers.Missing", "-m")
    assert shown.returncode == 2
    [line] = shown.stdout.splitlines()
    assert (
        'needs no_such_package_anywhere, which is not installed: pip install "fl-backdoor[nowhere]"' in line
    )
    assert list(tmp_path.iterdir()) == []
