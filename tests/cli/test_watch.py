"""The watcher as a user starts it, beside a run that is written meanwhile."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fl_backdoor.cli.watch import main
from fl_backdoor.core import files, table
from fl_backdoor.runs.columns import CLIENT_COLUMNS, ROUND_COLUMNS

HEED_INTERRUPTS = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
"""A shell has its background jobs ignore interrupts, and what they start inherits that; this undoes it."""

REPOSITORY = Path(__file__).parents[2]


def begin(folder):
    folder.mkdir(parents=True)
    files.replace(folder / "config.yaml", yaml.safe_dump({"num_rounds": 3}).encode())
    (folder / "clients.csv").write_bytes(table.header(CLIENT_COLUMNS))
    (folder / "rounds.csv").write_bytes(table.header(ROUND_COLUMNS))


def add(folder, server_round):
    row = dict.fromkeys(ROUND_COLUMNS) | {"server_round": server_round}
    with (folder / "rounds.csv").open("ab") as file:
        file.write(table.lines([row], ROUND_COLUMNS))


def end(folder, status):
    files.replace(folder / "summary.json", json.dumps({"status": status}).encode())


def watching(*arguments):
    return subprocess.Popen(
        [sys.executable, "-c", HEED_INTERRUPTS, "-m", "fl_backdoor", "watch", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_rounds_are_shown_as_they_come_until_the_run_has_ended(tmp_path):
    folder = tmp_path / "run"
    with watching("--wait", folder) as process:
        begin(folder)
        add(folder, 0)
        assert "3 rounds" in process.stdout.readline()
        assert process.stdout.readline().startswith("round 0/3")
        add(folder, 1)
        assert process.stdout.readline().startswith("round 1/3")
        end(folder, "finished")
        assert process.stdout.readline() == f"finished: {folder}\n"
        assert process.wait() == 0


def test_an_interrupt_ends_the_watcher_alone(tmp_path):
    folder = tmp_path / "run"
    begin(folder)
    before = {file: file.read_bytes() for file in folder.iterdir()}
    with watching(folder) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == ""
        assert process.wait() == 130
    assert {file: file.read_bytes() for file in folder.iterdir()} == before


@pytest.mark.parametrize(("status", "code"), [("finished", 0), ("stopped", 1), ("failed", 1), (None, 1)])
def test_once_shows_what_is_there_and_ends(tmp_path, capsys, status, code):
    folder = tmp_path / "run"
    begin(folder)
    add(folder, 0)
    if status:
        end(folder, status)
    assert main(["--once", str(folder)]) == code
    shown = capsys.readouterr().out.splitlines()
    assert shown[1].startswith("round 0/3")
    assert shown[2:] == ([f"{status}: {folder}"] if status else [])


def test_a_folder_without_a_run_is_one_line(tmp_path, capsys):
    for folder, message in ((tmp_path / "nowhere", "there is no such folder"), (tmp_path, "holds no run")):
        assert main([str(folder)]) == 2
        [line] = capsys.readouterr().out.splitlines()
        assert line.startswith("fl_backdoor: ")
        assert message in line


def multirun(folder, *overrides, sweeper="hydra._internal.core_plugins.basic_sweeper.BasicSweeper"):
    hydra = {"sweeper": {"_target_": sweeper}, "overrides": {"task": list(overrides)}}
    (folder / "multirun.yaml").write_text(yaml.safe_dump({"hydra": hydra}))


def test_a_multirun_ends_with_the_last_run_that_it_asks_for(tmp_path):
    begin(tmp_path / "0_a")
    end(tmp_path / "0_a", "finished")
    multirun(tmp_path, "strategy=fedavg,krum", "seed=0")
    with watching(tmp_path) as process:
        assert process.stdout.readline() == "0_a  finished\n"
        begin(tmp_path / "1_b")
        assert process.stdout.readline() == "1_b  starting\n"
        end(tmp_path / "1_b", "finished")
        assert process.stdout.readline() == "1_b  finished\n"
        assert process.wait() == 0


@pytest.mark.parametrize(
    ("overrides", "sweeper", "code"),
    [
        (["seed=0"], "hydra._internal.core_plugins.basic_sweeper.BasicSweeper", 0),
        (["seed=range(0,2)"], "hydra._internal.core_plugins.basic_sweeper.BasicSweeper", 1),
        (["seed=0"], "hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper", 1),
    ],
)
def test_a_multirun_is_finished_if_all_runs_are_there(tmp_path, overrides, sweeper, code):
    begin(tmp_path / "0_a")
    end(tmp_path / "0_a", "finished")
    multirun(tmp_path, *overrides, sweeper=sweeper)
    assert main(["--once", str(tmp_path)]) == code


def test_a_damaged_list_of_runs_is_one_line(tmp_path, capsys):
    begin(tmp_path / "0_a")
    (tmp_path / "multirun.yaml").write_text("hydra: [")
    assert main([str(tmp_path)]) == 2
    [line] = capsys.readouterr().out.splitlines()
    assert "multirun.yaml is damaged" in line
