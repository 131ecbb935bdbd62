import io
import json
import os

import pytest
import yaml

from fl_backdoor.core import table
from fl_backdoor.runner.display.live import Display
from fl_backdoor.runner.display.views import ManyRuns, OneRun
from fl_backdoor.runs.columns import CLIENT_COLUMNS, ROUND_COLUMNS
from fl_backdoor.runs.lock import only_writer

CONFIG = {
    "seed": 0,
    "num_rounds": 2,
    "dataset": {"_target_": "fl_backdoor.data.mnist5k.Mnist5k"},
    "strategy": {"_target_": "strategies.FedAvg"},
    "attack": {"alpha": 0.3},
}


@pytest.fixture
def begin(tmp_path):
    """Begin a run in a folder below; return it."""

    def make(name="run"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
        (folder / "rounds.csv").write_bytes(table.header(ROUND_COLUMNS))
        (folder / "clients.csv").write_bytes(table.header(CLIENT_COLUMNS))
        return folder

    return make


@pytest.fixture
def add(round_row, client_row):
    """Add a round to a run: client 0 is malicious and filtered."""

    def append(folder, server_round):
        accuracies = {"main_task_accuracy": 0.5, "attack_success_rate": 0.25, "success_rate": 1.0}
        seconds = {"train_seconds": 2.0, "aggregate_seconds": 1.0, "evaluate_seconds": 0.5}
        clients = [client_row(server_round=server_round, client_id=0, malicious=True, filtered=True)]
        with (folder / "clients.csv").open("ab") as file:
            file.write(table.lines(clients if server_round else [], CLIENT_COLUMNS))
        with (folder / "rounds.csv").open("ab") as file:
            row = round_row(server_round=server_round, **accuracies, **seconds)
            file.write(table.lines([row], ROUND_COLUMNS))

    return append


def end(folder, status, **figures):
    summary = {"status": status, "dataset": "mnist5k", "strategy": "FedAvg"}
    (folder / "summary.json").write_text(json.dumps(summary | figures))


@pytest.fixture
def shown():
    """What was shown since it was asked last, by line."""
    stream = io.StringIO()
    display = Display(stream, terminal=False)

    def lines():
        found = stream.getvalue().splitlines()
        stream.seek(0)
        stream.truncate()
        return found

    lines.display = display
    return lines


def test_one_run_is_shown_as_the_process_that_makes_it_shows_it(begin, add, shown):
    folder = begin()
    view = OneRun(shown.display, folder)
    assert view.look()
    assert shown() == ["mnist5k · FedAvg · α = 0.3 · 2 rounds · watched"]
    add(folder, 0)
    add(folder, 1)
    assert view.look()
    assert shown() == [
        "round 0/2  accuracy  50.0 %  ASR  25.0 %  SR 100.0 %  3.5 s",
        "round 1/2  accuracy  50.0 %  ASR  25.0 %  SR 100.0 %  filtered 0*  clipped -  rejected -  3.5 s",
    ]
    add(folder, 2)
    end(folder, "finished")
    assert not view.look()
    assert shown() == [
        "round 2/2  accuracy  50.0 %  ASR  25.0 %  SR 100.0 %  filtered 0*  clipped -  rejected -  3.5 s"
        "  left 0:00",
        f"finished: {folder}",
    ]
    assert view.all_finished


def test_how_the_backdoor_went_is_said_at_the_end(begin, shown):
    folder = begin()
    figures = {"peak_attack_success_rate": 0.974, "late_attack_success_rate": 0.5, "rounds_to_open": 3}
    end(folder, "finished", **figures, durability={"rounds": 12}, robust_accuracy=None)
    OneRun(shown.display, folder).look()
    assert shown()[1:] == [
        "over all rounds  peak ASR 97.4 %  late ASR 50.0 %  rounds to open 3  rounds open after 12",
        f"finished: {folder}",
    ]


def test_a_run_that_failed_is_not_finished(begin, shown):
    folder = begin()
    end(folder, "failed")
    view = OneRun(shown.display, folder)
    assert not view.look()
    assert shown()[-1] == f"failed: {folder}"
    assert not view.all_finished


def fall_silent(folder):
    for file in folder.iterdir():
        os.utime(file, (1000, 1000))


def test_silence_of_a_run_at_work_is_pointed_out_once_a_round(begin, add, shown):
    folder = begin()
    with only_writer(folder):
        silence_is_pointed_out(folder, add, shown)


def silence_is_pointed_out(folder, add, shown):
    view = OneRun(shown.display, folder)
    fall_silent(folder)
    view.look()
    assert "nothing new for " in shown()[-1]
    view.look()
    assert shown() == []
    add(folder, 0)
    add(folder, 1)
    view.look()
    assert not any("nothing new" in line for line in shown())
    fall_silent(folder)
    assert view.look(), "it goes on all the same"
    [notice] = shown()
    assert notice.startswith("NOTICE: nothing new for ")
    assert notice.endswith(", its rounds took 0:03 at most: the run may be dead")


def test_a_run_that_nobody_works_on_any_more_was_cut_off(begin, add, shown):
    folder = begin()
    add(folder, 0)
    fall_silent(folder)
    view = OneRun(shown.display, folder)
    assert not view.look(), "there is nothing to wait for"
    *_, notice, last = shown()
    assert notice == f"NOTICE: nobody is at work on this run: go on with it by resume={folder}"
    assert last == f"cut off: {folder}"
    assert not view.all_finished


def test_many_runs_are_over_when_the_last_was_cut_off(begin, shown, tmp_path):
    first, second = begin("0_a"), begin("1_b")
    end(first, "finished")
    fall_silent(second)
    view = ManyRuns(shown.display, tmp_path, expected=2)
    with only_writer(second):
        assert view.look()
        assert shown()[-1] == "1_b  nothing new for long: it may be dead"
    assert not view.look()
    assert shown() == ["1_b  cut off"]
    assert not view.all_finished


def test_damage_is_said_once_it_is_no_half_written_file(begin, add, shown):
    folder = begin()
    add(folder, 0)
    (folder / "clients.csv").write_text("something else\n")
    view = OneRun(shown.display, folder)
    view.look()
    assert not any("damaged" in line for line in shown())
    view.look()
    [notice] = shown()
    assert "clients.csv is damaged" in notice
    view.look()
    assert shown() == []


def test_many_runs_have_a_line_each(begin, add, shown, tmp_path):
    first = begin("0_fedavg")
    view = ManyRuns(shown.display, tmp_path, expected=2)
    with view:
        assert view.look()
        assert shown() == ["0_fedavg  starting"]
        add(first, 0)
        add(first, 1)
        assert view.look()
        assert shown() == ["0_fedavg  round 1/2  accuracy  50.0 %  ASR  25.0 %  SR 100.0 %  3.5 s"]
        add(first, 2)
        end(first, "finished")
        assert view.look(), "the second run is not there yet"
        assert not view.all_finished
        assert shown() == ["0_fedavg  round 2/2  accuracy  50.0 %  ASR  25.0 %  SR 100.0 %  3.5 s  finished"]
        second = begin("1_krum")
        end(second, "failed")
        assert not view.look()
        assert shown() == ["1_krum    failed"], "the other one has not changed"
    assert not view.all_finished


@pytest.mark.parametrize(("expected", "goes_on"), [(0, False), (1, False), (2, True), (None, True)])
def test_many_runs_end_when_all_that_will_be_there_have_ended(begin, shown, tmp_path, expected, goes_on):
    end(begin(), "finished")
    view = ManyRuns(shown.display, tmp_path, expected)
    assert view.look() == goes_on
    assert view.all_finished != goes_on


def test_many_runs_stay_in_their_place_in_a_terminal(begin, add, tmp_path, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = io.StringIO()
    folders = [begin("0_fedavg"), begin("1_krum")]
    with Display(stream, terminal=True) as display, ManyRuns(display, tmp_path, 0) as view:
        view.look()
        add(folders[0], 0)
        view.look()
    shown = stream.getvalue()
    assert shown.count("1_krum") >= 2, "drawn anew"
    assert "\x1b[1A" in shown, "one line up, where it was"
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l"), "the cursor comes back"
