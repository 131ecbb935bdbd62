"""Runs that start from a clean model: one of them makes it, the others find it."""

import io
import json
import shutil
import threading
from contextlib import contextmanager

import numpy as np
import pytest
from safetensors.numpy import load_file

from fl_backdoor.config.schema import parse_whole
from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.data.contents import contents_of
from fl_backdoor.federation.grid import StoppableGrid
from fl_backdoor.runner import clean_start
from fl_backdoor.runner.composition import composed
from fl_backdoor.runner.display.live import Display
from fl_backdoor.runner.display.redirect import Redirect
from fl_backdoor.runner.job import Job
from fl_backdoor.runner.rehearsal import ready
from fl_backdoor.runner.session import Session
from fl_backdoor.runner.side_by_side import SideBySide, _Task
from fl_backdoor.runs import round_table
from fl_backdoor.runs.lock import only_writer
from tests.golden.in_process import SMALL, InProcessGrid, configured, played

CLEAN = (
    "partition.num_clients=3",
    "attack.num_malicious=1",
    "start=clean",
    "start.rounds=2",
    "start.count_on=true",
    "num_rounds=3",
)
ATTACK = ("attack.alpha=0.3", "attack.first_round=3")


class Here:
    """An engine whose clients train in this process."""

    has_died = False

    def __init__(self, wanted):
        self.wanted = wanted

    def run(self, job):
        job(StoppableGrid(InProcessGrid(), threading.Event(), 0))

    def close(self):
        pass


class Interrupted(Display):
    """A user who interrupts as soon as a round is there."""

    def round_finished(self, row, clients, left=None):
        super().round_finished(row, clients, left)
        if row["server_round"] == 1:
            raise KeyboardInterrupt


def checked(outputs, *overrides):
    plain = next(composed([*SMALL, *CLEAN, *ATTACK, *overrides, f"outputs={outputs}"]))
    return ready(parse_whole(plain)[0])


def folder_of(config):
    return clean_start.folder_of(config, contents_of(config.dataset))


@contextmanager
def session(config, kind=Display):
    with Redirect() as redirect, kind(io.StringIO(), terminal=False) as display:
        here = Session(display, redirect)
        here._engine = Here(here._wanted(config))
        yield here
        here.background.close()


def run(outputs, name, *overrides, kind=Display):
    """Make a run; return its folder and that of its clean start."""
    what = checked(outputs, *overrides)
    with session(what.config, kind) as here:
        here.run(what, outputs / name)
    return outputs / name, folder_of(what.config)


def rows_of(folder):
    rows = round_table.read(folder / "rounds.csv")
    return [{name: row[name] for name in row if "seconds" not in name} for row in rows]


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return run(tmp_path_factory.mktemp("outputs"), "first")


def test_an_attack_on_a_clean_start_is_one_that_begins_late(first):
    folder, clean = first
    rows, _, model = played(configured(*CLEAN[:2], *ATTACK, "num_rounds=3"))
    assert [row["server_round"] for row in rows_of(folder)] == [2, 3]
    assert [row["test_loss"] for row in rows_of(folder)] == [row["test_loss"] for row in rows[2:]]
    found = load_file(folder / "model.safetensors")
    assert all(np.array_equal(found[name], model[name]) for name in model)
    assert [row["server_round"] for row in rows_of(clean)] == [0, 1, 2]
    assert {row["num_malicious"] for row in rows_of(clean)[1:]} == {0}
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["start"] == {"rounds": 2, "count_on": True, "name": "clean", "rounds_before": 2}
    assert json.loads((clean / "summary.json").read_text())["start"] is None


def test_runs_under_other_attacks_rules_and_numbers_of_rounds_find_it(first):
    folder, clean = first
    before = (clean / "summary.json").read_bytes()
    others = ("strategy=median", "attack/trigger=patch", "attack.alpha=0.5", "start.count_on=false")
    other, same = run(folder.parent, "other", *others, "num_rounds=4")
    assert same == clean
    assert list((folder.parent / "clean_starts").iterdir()) == [clean]
    assert (clean / "summary.json").read_bytes() == before
    assert rows_of(other)[0]["test_loss"] == rows_of(folder)[0]["test_loss"]
    assert [row["server_round"] for row in rows_of(other)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "other",
    [
        "seed=1",
        "start.rounds=1",
        "client.learning_rate=0.02",
        "server.learning_rate=0.5",
        "partition=dirichlet",
    ],
)
def test_what_changes_the_clean_model_makes_another_one(other, tmp_path):
    assert folder_of(checked(tmp_path, other).config) != folder_of(checked(tmp_path).config)


def test_one_that_was_cut_off_goes_on_under_whatever_trigger(first, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, "first", kind=Interrupted)
    assert not (tmp_path / "first" / "config.yaml").exists()
    _, clean = run(tmp_path, "second", "attack/trigger=patch")
    assert rows_of(clean) == rows_of(first[1]), "the figures are those of the trigger it was begun with"
    assert (clean / "model.safetensors").read_bytes() == (first[1] / "model.safetensors").read_bytes()


def test_the_second_of_two_processes_waits_for_the_first(first, tmp_path):
    what = checked(tmp_path)
    clean = folder_of(what.config)
    with session(what.config) as here:
        second = threading.Thread(target=here.run, args=(what, tmp_path / "second"))
        with only_writer(clean):  # as the first one does while it trains
            second.start()
            second.join(0.5)
            assert second.is_alive()
            shutil.copytree(first[1], clean, dirs_exist_ok=True)
        second.join()
    assert rows_of(tmp_path / "second") == rows_of(first[0])
    assert (clean / "summary.json").read_bytes() == (first[1] / "summary.json").read_bytes()


def test_of_runs_side_by_side_one_makes_it_and_the_others_are_handed_out_later(first, tmp_path):
    jobs = [
        Job(one.config, tmp_path / name, None, (), go_on=True, checked=one)
        for name, one in (
            ("one", checked(tmp_path)),
            ("two", checked(tmp_path, "attack.alpha=0.5")),
            ("other", checked(tmp_path, "seed=1")),
        )
    ]
    one, two, other = (_Task(job, job.folder.name) for job in jobs)
    with Redirect() as redirect, Display(redirect.terminal) as display:
        workers = SideBySide(display, redirect, num_jobs=1)
        workers._tasks = {"a process": one}
        assert workers._waits(two)
        assert not workers._waits(other)
        shutil.copytree(first[1], folder_of(two.job.config))
        assert not workers._waits(two)
        workers._tasks = {}
        workers.close()


def test_a_clean_run_that_diverged_is_no_start(tmp_path):
    with pytest.raises(FlBackdoorError, match=r"the clean run that is to be started from, is diverged$"):
        run(tmp_path, "found", "client.learning_rate=1e30")
