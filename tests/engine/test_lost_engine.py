"""Ray is killed under a run: the round is repeated on another one, and nothing else differs."""

import io
import json
import os
import signal

import numpy as np
import pytest
from safetensors.numpy import load_file

from fl_backdoor.config.schema import parse_whole
from fl_backdoor.core import table
from fl_backdoor.core.errors import FlBackdoorError, NobodyAnswers
from fl_backdoor.engine.simulation import resources
from fl_backdoor.runner.composition import composed
from fl_backdoor.runner.display.background import Background
from fl_backdoor.runner.display.live import Display
from fl_backdoor.runner.display.streams import Streams
from fl_backdoor.runner.reporting import Reporting
from fl_backdoor.runner.session import Session

SMALL = ["dataset=mnist5k", "num_rounds=3", "client.local_steps=2", "partition.num_clients=4"]
HYBRID = ["strategy=hybrid", "attack.num_malicious=1", "engine.num_workers=1", "precision=fp32"]


class Shown(Display):
    """Does something once, as soon as round 1 is finished."""

    def __init__(self, stream):
        super().__init__(stream, terminal=False)
        self.then = None

    def round_finished(self, row, clients, left=None):
        super().round_finished(row, clients, left)
        if row["server_round"] == 1 and self.then is not None:
            then, self.then = self.then, None
            then()


@pytest.fixture
def said():
    return io.StringIO()


@pytest.fixture
def make_session(said):
    sessions = []

    def make(engine=None):
        with Streams() as streams:
            display = Shown(said)
            background = Background(Reporting(display, streams))
            sessions.append((Session(display, streams, background, engine=engine), background))
        return sessions[-1][0]

    yield make
    for session, background in sessions:
        session.close()
        background.close()


def config(tmp_path):
    return parse_whole(next(composed([*SMALL, *HYBRID, f"outputs={tmp_path}"])))[0]


def without_clocks(file):
    columns, rows = table.read_any(file)
    return [{name: row[name] for name in columns if "seconds" not in name} for row in rows]


def test_a_run_whose_raylet_is_killed_comes_to_the_same_bits(tmp_path, make_session, said):
    session = make_session()

    def kill():
        raylet = session._engine._ray.result()._node.all_processes["raylet"][0].process
        os.kill(raylet.pid, signal.SIGKILL)

    session.display.then = kill
    session.run(config(tmp_path), tmp_path / "killed")
    session.run(config(tmp_path), tmp_path / "undisturbed")
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    assert said.getvalue().count("Ray has died: it is started again") == 1
    for name in ("rounds.csv", "clients.csv"):
        assert without_clocks(killed / name) == without_clocks(undisturbed / name)
    models = [load_file(folder / "model.safetensors") for folder in (killed, undisturbed)]
    assert all(np.array_equal(models[0][name], models[1][name]) for name in models[1])
    assert json.loads((killed / "summary.json").read_text())["status"] == "finished"


class Deaf:
    """An engine on which nobody answers."""

    has_died = False

    def __init__(self, wanted):
        self.wanted = wanted

    def run(self, job):
        raise NobodyAnswers("nobody has answered in round 1: no reply in time")

    def close(self):
        pass


def test_a_run_that_nobody_answers_is_stopped_and_says_how_to_go_on(tmp_path, make_session):
    wanted = config(tmp_path)
    session = make_session(Deaf(resources(wanted)))
    folder = tmp_path / "run"
    with pytest.raises(FlBackdoorError) as caught:
        session.run(wanted, folder)
    assert str(caught.value) == (
        "nobody has answered in round 1: no reply in time; the run is stopped, "
        f"resume={folder} goes on after the last finished round"
    )
    assert json.loads((folder / "summary.json").read_text())["status"] == "stopped"
