"""The SQLite file is read back without MLflow."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from fl_backdoor.runner.tracking.base import figures
from fl_backdoor.runner.tracking.mlflow import MLflow

REPOSITORY = Path(__file__).parents[3]
FOLLOW = """
import sys
from pathlib import Path
from fl_backdoor.runner.tracking.base import TrackedRun
from fl_backdoor.runner.tracking.mlflow import MLflow

tracker = MLflow(sys.argv[1])
tracker.start(TrackedRun("", Path(sys.argv[2]), {}, ""))
tracker.finish("finished")
"""


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    """One file for all tests, which MLflow takes long to create; two processes do so at the same time."""
    folder = tmp_path_factory.mktemp("mlflow")
    uri = f"sqlite:///{folder}/outputs/mlflow.db"
    runs = [folder / "side by side" / name for name in ("a", "b")]
    for run in runs:
        run.mkdir(parents=True)
    program = [sys.executable, "-c", FOLLOW, uri]
    processes = [subprocess.Popen([*program, run], cwd=REPOSITORY) for run in runs]
    assert [process.wait() for process in processes] == [0, 0]
    assert len(ask(uri, "SELECT * FROM runs WHERE status = 'FINISHED'")) == 2
    return uri


def follow(uri, run, rows, status="finished", **settings):
    tracker = MLflow(uri, **settings)
    tracker.start(run)
    for row in rows:
        tracker.round_finished(row["server_round"], figures(row))
    tracker.finish(status)
    return json.loads((run.folder / "tracking.json").read_text())["run_id"]


def ask(uri, query, *values):
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as database:
        return database.execute(query, values).fetchall()


def metrics(uri, run_id):
    found = {}
    for key, step, value in ask(uri, "SELECT key, step, value FROM metrics WHERE run_uuid = ?", run_id):
        found.setdefault(key, {})[step] = value
    return found


def test_metrics_are_the_tables_to_the_last_digit(uri, tracked, rows, tracked_rows):
    assert metrics(uri, follow(uri, tracked(), rows)) == tracked_rows


def test_settings_and_tags(uri, tracked, rows):
    run_id = follow(uri, tracked(), rows)
    params = dict(ask(uri, "SELECT key, value FROM params WHERE run_uuid = ?", run_id))
    assert params == {
        "seed": "7",
        "num_rounds": "3",
        "attack.alpha": "0.052",
        "attack.last_round": "null",
        "strategy._target_": "strategies.FedAvg",
        "strategy.cautious": "true",
        "dataset.layout": "[1, 2]",
    }
    tags = dict(ask(uri, "SELECT key, value FROM tags WHERE run_uuid = ?", run_id))
    assert tags["seed"] == "7"
    assert tags["status"] == "finished"
    assert tags["mlflow.runName"] == "0_fedavg"


@pytest.mark.parametrize(
    ("status", "shown"),
    [("finished", "FINISHED"), ("failed", "FAILED"), ("diverged", "FAILED"), ("stopped", "KILLED")],
)
def test_the_end_is_told(uri, tracked, rows, status, shown):
    run_id = follow(uri, tracked(), rows, status)
    assert ask(uri, "SELECT status FROM runs WHERE run_uuid = ?", run_id) == [(shown,)]


def test_files_are_copied(uri, tracked, rows):
    run = tracked()
    for name in ("summary.json", "config.yaml", "samples.png", "model.safetensors"):
        (run.folder / name).write_text(name)
    run_id = follow(uri, run, rows)
    [(place,)] = ask(uri, "SELECT artifact_uri FROM runs WHERE run_uuid = ?", run_id)
    folder = Path(place.removeprefix("file://"))
    assert {file.name for file in folder.iterdir()} == {"summary.json", "config.yaml", "samples.png"}
    assert folder.is_relative_to(Path(uri.removeprefix("sqlite:///")).parent)


def test_runs_of_a_multirun_share_an_experiment(uri, tracked, rows):
    ids = [follow(uri, tracked(name), rows) for name in ("0_fedavg", "1_hybrid")]
    ids.append(follow(uri, tracked("2_krum"), rows, experiment="mine"))
    query = "SELECT experiments.name FROM experiments JOIN runs USING (experiment_id) WHERE run_uuid = ?"
    assert [ask(uri, query, run_id) for run_id in ids] == [[("sweep",)], [("sweep",)], [("mine",)]]


def test_a_run_that_was_cut_off_goes_on_in_the_same_place(uri, tracked, rows, tracked_rows):
    run_id = follow(uri, tracked(), rows[:2], "stopped")
    tracker = MLflow(uri)
    tracker.start(tracked())
    assert ask(uri, "SELECT status FROM runs WHERE run_uuid = ?", run_id) == [("RUNNING",)]
    for row in rows:
        tracker.round_finished(row["server_round"], figures(row))
    tracker.finish("finished")
    assert metrics(uri, run_id) == tracked_rows
    assert ask(uri, "SELECT status FROM runs WHERE run_uuid = ?", run_id) == [("FINISHED",)]
    points = ask(uri, "SELECT count(*), count(DISTINCT key || step) FROM metrics WHERE run_uuid = ?", run_id)
    assert points == [(8, 8)], "none is there twice"
