"""Run folders that an earlier version wrote: its tables lack some columns, its summaries some keys."""

import csv
import json
import math

import pytest

from fl_backdoor.analysis.settings_table import sheet, tabulate
from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.runs import round_table, run_tables
from fl_backdoor.runs.columns import ADDED_COLUMNS, CLIENT_COLUMNS, ROUND_COLUMNS
from fl_backdoor.runs.run_folder import RunFolder
from fl_backdoor.runs.runs import read
from tests.analysis.report.made_runs import write_run

OLD_COLUMNS = [name for name in ROUND_COLUMNS if name not in ADDED_COLUMNS]


def make_old(rounds_csv, **of_all):
    """Take from a table what earlier versions did not write, and set some cells of all rows."""
    with rounds_csv.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with rounds_csv.open("w", newline="") as file:
        old = csv.DictWriter(file, OLD_COLUMNS, extrasaction="ignore", lineterminator="\n")
        old.writeheader()
        old.writerows(row | of_all for row in rows)


@pytest.fixture
def old_run(tmp_path):
    """Client 2 of four is malicious and attacks in round 2; it and the benign client 3 are always flagged."""
    told = {"test_loss": 0.5, "true_positive_rate": 1.0, "false_positive_rate": 3 / 7}
    folder = write_run(tmp_path / "old", entries=told)
    make_old(folder / "rounds.csv", test_loss="0.5")
    return folder


def test_what_has_no_column_is_unknown(old_run):
    rows = round_table.read(old_run / "rounds.csv")
    assert [tuple(row) for row in rows] == [ROUND_COLUMNS] * 3
    assert {row[name] for row in rows for name in ADDED_COLUMNS} == {None}
    assert [row["main_task_accuracy"] for row in rows] == [0.15, 0.3, 0.6]


def test_detection_is_worked_out_anew_and_idle_rounds_are_no_false_alarms(old_run):
    found = sheet(tabulate([read(old_run)]))
    # One attack, flagged; 6 benign client-rounds, 2 of them flagged; 1 of 3 benign clients.
    shown = dict(zip(found.columns, found.rows[0], strict=True))
    names = ("round TPR", "round FPR", "client TPR", "client FPR")
    assert [shown[name] for name in names] == ["100.0", "33.3", "100.0", "33.3"]
    without_tables = read(old_run, tables=False).summary
    assert without_tables["true_positive_rate"] == 1.0
    assert without_tables["false_positive_rate"] is None


def test_how_the_backdoor_went_is_worked_out_from_the_tables(old_run):
    summary = read(old_run).summary
    # The attack was in round 2, after which ASR is the 0.9 of the last row.
    assert summary["peak_attack_success_rate"] == summary["late_attack_success_rate"] == 0.9
    assert summary["rounds_to_open"] == 1
    assert summary["robust_accuracy"] is None
    assert read(old_run, tables=False).summary["rounds_to_open"] is None


@pytest.mark.parametrize("loss", ["", "inf"])
def test_a_model_whose_loss_was_not_finite_had_diverged(old_run, loss):
    make_old(old_run / "rounds.csv", test_loss=loss)
    summary = json.loads((old_run / "summary.json").read_text())
    told = {"test_loss": None, "main_task_accuracy": 0.1}
    (old_run / "summary.json").write_text(json.dumps(summary | told))
    for tables in (True, False):
        run = read(old_run, tables=tables)
        assert (run.status, run.diverged) == ("diverged", "the test loss is not finite")


def test_a_run_that_was_begun_with_fewer_columns_goes_on_with_those(
    tmp_path, round_row, client_row, monkeypatch
):
    with monkeypatch.context() as earlier:
        earlier.setattr("fl_backdoor.runs.run_folder.ROUND_COLUMNS", tuple(OLD_COLUMNS))
        earlier.setattr("fl_backdoor.runs.run_folder.CLIENT_COLUMNS", CLIENT_COLUMNS[:-1])
        begun = RunFolder(tmp_path)
        begun.start({"seed": 1}, [])
        begun.append(round_row(server_round=0, main_task_accuracy=0.1, test_loss=2.5), [])
    before = begun.rounds_csv.read_bytes()
    resumed = RunFolder(tmp_path)
    resumed.go_on([], begun.progress(0))
    client = client_row(server_round=1, client_id=4, train_seconds=2.0, cpu_seconds=3.0)
    resumed.append(
        round_row(server_round=1, main_task_accuracy=0.2, test_loss=math.nan, diverged="x"), [client]
    )
    assert resumed.rounds_csv.read_bytes().startswith(before)
    rows = round_table.read(resumed.rounds_csv)
    assert [row["diverged"] for row in rows] == [None, round_table.NO_LOSS]
    [kept] = run_tables.clients(resumed.clients_csv)
    assert (kept["train_seconds"], kept["cpu_seconds"]) == (2.0, None)
    with pytest.raises(ValueError, match="norm_of_update"):
        resumed.append(round_row(server_round=2, norm_of_update=1.0), [])


def test_other_columns_are_damage(old_run):
    text = (old_run / "rounds.csv").read_text()
    (old_run / "rounds.csv").write_text(text.replace("num_replies,", "replies,", 1))
    with pytest.raises(FlBackdoorError, match="is damaged: its first line must be server_round,"):
        round_table.read(old_run / "rounds.csv")
