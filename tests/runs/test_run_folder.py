import csv
import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file

from fl_backdoor.core import table
from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.runs.columns import CLIENT_COLUMNS, ROUND_COLUMNS
from fl_backdoor.runs.run_folder import RunFolder

CONFIG = {"seed": 7, "attack": {"alpha": 0.052, "last_round": None}, "tags": ["a", "b"]}


def record(folder, round_row, client_row):
    """A run of one round: the initial model, then client 4 in place and client 9 rejected."""
    run = RunFolder(folder)
    run.start(CONFIG, ["CIFAR-10 is not there:\nFashion-MNIST takes its place"])
    run.append(round_row(server_round=0, main_task_accuracy=0.1, evaluate_seconds=1.5), [])
    clients = [
        client_row(server_round=1, client_id=4, malicious=True, attacking=False, weight=1 / 3),
        client_row(server_round=1, client_id=9, malicious=False, attacking=False, rejected="NaN, twice"),
    ]
    run.append(round_row(server_round=1, main_task_accuracy=0.3, model_updated=True), clients)
    return run


def test_the_tables_by_hand(tmp_path, round_row, client_row):
    run = record(tmp_path / "run", round_row, client_row)
    assert run.rounds_csv.read_text() == (
        "server_round,main_task_accuracy,test_loss,attack_success_rate,success_rate,diverged,"
        "clean_main_task_accuracy,"
        "clean_attack_success_rate,clean_success_rate,model_updated,num_participants,num_replies,num_rejected,"
        "num_malicious,num_filtered,num_clipped,num_flagged,true_positives,false_positives,true_positive_rate,"
        "false_positive_rate,client_true_positives,client_false_positives,client_true_positive_rate,"
        "client_false_positive_rate,train_seconds,aggregate_seconds,evaluate_seconds,"
        "robust_accuracy,mean_client_accuracy,worst_tenth_client_accuracy,learning_rate\n"
        "0,0.1,,,,,,,,,,,,,,,,,,,,,,,,,,1.5,,,,\n"
        "1,0.3,,,,,,,,true,,,,,,,,,,,,,,,,,,,,,,\n"
    )
    assert run.clients_csv.read_text() == (
        "server_round,client_id,malicious,attacking,rejected,num_examples,num_steps,train_loss,update_norm,"
        "gradient_norm,mean_distance,weight,clip_coefficient,filtered,flagged,train_seconds,cpu_seconds\n"
        "1,4,true,false,,,,,,,,0.3333333333333333,,,,,\n"
        '1,9,false,false,"NaN, twice",,,,,,,,,,,,\n'
    )


def test_the_same_rows_give_the_same_bytes(tmp_path, round_row, client_row):
    one, other = (record(tmp_path / name, round_row, client_row) for name in ("one", "other"))
    assert one.rounds_csv.read_bytes() == other.rounds_csv.read_bytes()
    assert one.clients_csv.read_bytes() == other.clients_csv.read_bytes()


def test_the_configuration_is_plain_yaml_under_the_notices(tmp_path, round_row, client_row):
    record(tmp_path, round_row, client_row)
    text = (tmp_path / "config.yaml").read_text()
    assert text.startswith("# NOTICE: CIFAR-10 is not there: Fashion-MNIST takes its place\nseed: 7\n")
    assert yaml.safe_load(text) == CONFIG


def test_a_folder_holds_one_run(tmp_path, round_row, client_row):
    run = record(tmp_path, round_row, client_row)
    before = run.rounds_csv.read_bytes()
    with pytest.raises(FlBackdoorError, match="holds a run already"):
        RunFolder(tmp_path).start({}, [])
    assert run.rounds_csv.read_bytes() == before


def test_a_wrong_client_row_leaves_both_tables_alone(tmp_path, round_row, client_row):
    run = record(tmp_path, round_row, client_row)
    before = run.rounds_csv.read_bytes(), run.clients_csv.read_bytes()
    with pytest.raises(ValueError, match="norm_of_update"):
        run.append(round_row(server_round=2), [client_row(norm_of_update=1.0)])
    assert (run.rounds_csv.read_bytes(), run.clients_csv.read_bytes()) == before


def test_the_model_comes_back_bit_for_bit(tmp_path, round_row, client_row, facts):
    model = {
        "conv.weight": np.arange(6, dtype=np.float32).reshape(2, 3).T / 7,
        "bn.num_batches_tracked": np.array(12, dtype=np.int64),
        "bn.running_mean": np.array([np.nan, -0.0], dtype=np.float32),
    }
    record(tmp_path, round_row, client_row).finish("finished", model, facts)
    found = load_file(tmp_path / "model.safetensors")
    assert found.keys() == model.keys()
    for name, array in model.items():
        assert (found[name].shape, found[name].dtype) == (array.shape, array.dtype)
        assert found[name].tobytes() == array.tobytes()


def test_a_finished_run_has_all_its_files_and_no_drafts(tmp_path, round_row, client_row, facts):
    run = record(tmp_path, round_row, client_row)
    run.finish("finished", {"w": np.ones(2)}, facts)
    run.draw(facts.title)
    assert {path.name for path in tmp_path.iterdir()} == {
        "accuracy_and_success.png",
        "clients.csv",
        "config.yaml",
        "model.safetensors",
        "rounds.csv",
        "summary.json",
    }
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["status"] == "finished"
    assert summary["notices"] == ["CIFAR-10 is not there:\nFashion-MNIST takes its place"]


def test_accuracy_by_class_grows_with_the_rounds_and_goes_on(tmp_path, round_row):
    run = RunFolder(tmp_path)
    run.start(CONFIG, [])
    run.begin_class_accuracy(["cat", "dog, wet"])
    for at, accuracies in enumerate(([0.25, 0.5], [math.nan, 1.0])):
        run.append_class_accuracy(at, np.array(accuracies))
        run.append(round_row(server_round=at), [])
    table = tmp_path / "class_accuracy.csv"
    assert table.read_text() == 'server_round,cat,"dog, wet"\n0,0.25,0.5\n1,,1.0\n'
    progress = run.progress(1)
    run.append_class_accuracy(2, np.zeros(2))  # of a round that did not come to its end
    resumed = RunFolder(tmp_path)
    resumed.go_on([], progress)
    resumed.append_class_accuracy(2, np.array([0.5, 0.75]))
    assert table.read_text().splitlines()[2:] == ["1,,1.0", "2,0.5,0.75"]


def test_a_run_of_an_earlier_version_goes_on_without_accuracy_by_class(tmp_path, round_row):
    begun = RunFolder(tmp_path)
    begun.start(CONFIG, [])
    begun.append(round_row(server_round=0), [])
    resumed = RunFolder(tmp_path)
    resumed.go_on([], begun.progress(0))
    resumed.append_class_accuracy(1, np.zeros(2))
    assert not (tmp_path / "class_accuracy.csv").exists()


@pytest.mark.parametrize("num_rows", [0, 1])
def test_a_run_that_ends_before_its_first_round_has_a_summary(tmp_path, round_row, facts, num_rows):
    run = RunFolder(tmp_path)
    run.start(CONFIG, [])
    for _ in range(num_rows):
        run.append(round_row(server_round=0, main_task_accuracy=0.125), [])
    run.finish("stopped", {}, facts)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["status"], summary["rounds_finished"]) == ("stopped", 0)
    assert summary["main_task_accuracy"] == (0.125 if num_rows else None)
    assert not (tmp_path / "model.safetensors").exists()


def test_a_torn_last_line_costs_no_finished_round(tmp_path, round_row, client_row, facts):
    run = record(tmp_path, round_row, client_row)
    with run.rounds_csv.open("a") as file:
        file.write("2,0.9")
    run.finish("failed", {}, facts)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["rounds_finished"], summary["main_task_accuracy"]) == (1, 0.3)


KILLED = """
import sys
from pathlib import Path
from fl_backdoor.runs.columns import CLIENT_COLUMNS, ROUND_COLUMNS
from fl_backdoor.runs.run_folder import RunFolder

run = RunFolder(Path(sys.argv[1]))
run.start({"seed": 1}, [])
for server_round in range(10**6):
    row = dict.fromkeys(ROUND_COLUMNS) | {"server_round": server_round}
    client = dict.fromkeys(CLIENT_COLUMNS) | {"server_round": server_round}
    run.append(row, [client | {"client_id": client_id} for client_id in range(9)])
"""


def test_a_killed_run_leaves_complete_rounds(tmp_path):
    folder = tmp_path / "run"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(folder)], env=environment)
    rounds_csv = folder / "rounds.csv"
    while not rounds_csv.exists() or rounds_csv.read_bytes().count(b"\n") < 4:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    rounds = [row["server_round"] for row in table.read(rounds_csv, ROUND_COLUMNS)]
    clients = [row["server_round"] for row in table.read(folder / "clients.csv", CLIENT_COLUMNS)]
    assert rounds == list(range(len(rounds)))
    assert len(rounds) >= 3
    assert all(clients.count(server_round) == 9 for server_round in rounds)


def test_any_csv_reader_reads_the_tables(tmp_path, round_row, client_row):
    run = record(tmp_path, round_row, client_row)
    with run.clients_csv.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == CLIENT_COLUMNS
    assert [row["rejected"] for row in rows] == ["", "NaN, twice"]
    assert tuple(run.rounds_csv.read_text().splitlines()[0].split(",")) == ROUND_COLUMNS


def test_a_name_of_a_file_that_is_no_text_can_be_written(tmp_path, round_row, client_row, facts):
    """Linux lets a file be called anything; Python has halves of characters for what is no UTF-8."""
    name = os.fsdecode(b"caf\xe9")
    run = RunFolder(tmp_path / name)
    run.start({"dataset": {"root": name}, "lists": [[name]]}, [f"{name} is not there"])
    run.write_labels(np.ones((1, 1), np.int64), [name])
    run.append(round_row(server_round=0), [client_row(server_round=0, rejected=name)])
    run.finish("finished", {}, replace(facts, command=name))
    run.draw(name)
    assert yaml.safe_load((run.path / "config.yaml").read_bytes()) == {
        "dataset": {"root": "caf?"},
        "lists": [["caf?"]],
    }
    assert json.loads((run.path / "summary.json").read_bytes())["command"] == "caf?"
    assert (run.path / "labels.csv").read_bytes() == b"client_id,caf?\n0,1\n"
