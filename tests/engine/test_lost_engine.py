"""Ray is killed under runs: rounds are repeated or runs stopped, and all come to the same bits in the end."""

import io
import json
import os
import signal
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest
from ray.cluster_utils import Cluster
from safetensors.numpy import load_file

from fl_backdoor.config.schema import parse_whole
from fl_backdoor.core import table
from fl_backdoor.core.errors import FlBackdoorError, NobodyAnswers
from fl_backdoor.engine.simulation import resources
from fl_backdoor.runner.composition import composed
from fl_backdoor.runner.display.background import Background
from fl_backdoor.runner.display.live import Display
from fl_backdoor.runner.display.redirect import Redirect
from fl_backdoor.runner.rehearsal import ready
from fl_backdoor.runner.session import Session
from fl_backdoor.runs import checkpoint
from tests.drill import drill
from tests.runner.test_main import PROGRAM, environment

SMALL = ["dataset=mnist5k", "num_rounds=6", "client.local_steps=2", "partition.num_clients=4"]
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


class Unborn(Background):
    """What a process does beside a run when it is killed before it comes to that: nothing."""

    def do(self, function, *arguments):
        pass


@pytest.fixture(scope="module")
def said():
    return io.StringIO()


@pytest.fixture(scope="module")
def make_session(said):
    """One after the other gets the same Ray if it is given the engine of the first."""
    sessions = []

    def make(engine=None, background=Background):
        with Redirect() as redirect:
            sessions.append(Session(Shown(said), redirect, engine=engine))
        sessions[-1].background = background(sessions[-1].reporting)
        return sessions[-1]

    yield make
    for session in sessions:
        session.close()


@pytest.fixture(scope="module")
def session(make_session):
    return make_session()


@pytest.fixture(scope="module")
def undisturbed(session, tmp_path_factory):
    """The folder of a run to which nothing happens."""
    folder = tmp_path_factory.mktemp("undisturbed")
    session.run(ready(config(folder)), folder / "run")
    return folder / "run"


def config(tmp_path, *overrides):
    return parse_whole(next(composed([*SMALL, *HYBRID, *overrides, f"outputs={tmp_path}"])))[0]


def without_clocks(file):
    columns, rows = table.read_any(file)
    return [{name: row[name] for name in columns if "seconds" not in name} for row in rows]


def assert_same_bits(found, wanted):
    for name in ("rounds.csv", "clients.csv"):
        assert without_clocks(found / name) == without_clocks(wanted / name)
    models = [load_file(folder / "model.safetensors") for folder in (found, wanted)]
    assert all(np.array_equal(models[0][name], models[1][name]) for name in models[1])
    assert status(found) == status(wanted) == "finished"


def status(folder):
    return json.loads((folder / "summary.json").read_text())["status"]


def test_a_run_whose_raylet_is_killed_comes_to_the_same_bits(tmp_path, session, undisturbed, said):
    def kill():
        raylet = session._engine._ray.result()._node.all_processes["raylet"][0].process
        os.kill(raylet.pid, signal.SIGKILL)

    session.display.then = kill
    session.run(ready(config(tmp_path)), tmp_path / "killed")
    assert said.getvalue().count("Ray has died: it is started again") == 1
    assert_same_bits(tmp_path / "killed", undisturbed)


def shown_by(folder, arguments, kill):
    """Run the program, have `kill` do so when a round 1 is finished, and return its status and its lines."""
    said = []
    with subprocess.Popen(
        [*PROGRAM, *arguments, *SMALL, *HYBRID],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        for line in process.stdout:
            if "round 1/" in line and not any("round 1/" in earlier for earlier in said):
                kill(process.pid)
            said.append(line)
        return process.wait(), said


def kill_raylet_of(process):
    [raylet] = [
        int(child)
        for children in Path(f"/proc/{process}/task").glob("*/children")
        for child in children.read_text().split()
        if Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")[0].endswith(b"/raylet")
    ]
    os.kill(raylet, signal.SIGKILL)


@drill
def test_runs_side_by_side_go_on_with_another_ray_to_the_same_bits(tmp_path, undisturbed):
    arguments = ["-m", "seed=0,1", "jobs=2", "clean_baseline=known", "hydra.sweep.dir=found"]
    code, said = shown_by(tmp_path, arguments, kill_raylet_of)
    assert code == 0, said
    assert sum("Ray has died: it is started again" in line for line in said) == 1
    assert not any("Traceback" in line for line in said)
    [first], [second] = ((tmp_path / "found").glob(f"*_seed-{seed}_*") for seed in (0, 1))
    assert_same_bits(first, undisturbed)
    assert status(second) == "finished"


@pytest.fixture
def cluster():
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    yield nodes
    nodes.shutdown()


@drill
def test_a_run_whose_foreign_ray_dies_is_stopped_and_goes_on_to_the_same_bits(
    tmp_path, session, undisturbed, cluster
):
    [raylet] = cluster.head_node.all_processes["raylet"]
    arguments = [f"engine.address={cluster.address}", "hydra.run.dir=found"]
    code, said = shown_by(tmp_path, arguments, lambda _: os.kill(raylet.process.pid, signal.SIGKILL))
    folder = tmp_path / "found"
    assert code == 1, said
    assert said[-1].endswith(f"the run is stopped, resume={folder} goes on after the last finished round\n")
    assert not any("Traceback" in line for line in said)
    assert status(folder) == "stopped"
    assert checkpoint.is_there(folder)
    session.run(ready(config(tmp_path)), folder, go_on=True)
    assert_same_bits(folder, undisturbed)


def test_a_run_that_was_killed_before_its_figure_gets_the_same_one(
    tmp_path, session, make_session, undisturbed
):
    folder = tmp_path / "run"
    make_session(session._engine, Unborn).run(ready(config(tmp_path)), folder)
    assert status(folder) == "finished"
    assert not (folder / "accuracy_and_success.png").exists()
    with subprocess.Popen(["true"]) as gone:
        pass
    for name in (".accuracy_and_success.png", "checkpoint/.checkpoint.json"):
        (folder / f"{name}.{gone.pid}.tmp").write_bytes(b"half of it")
    again = make_session(session._engine)
    again.run(ready(config(tmp_path)), folder, go_on=True)
    for finishing in (again, session):
        done = threading.Event()
        finishing.background.do(done.set)
        done.wait()
    names = {path.name for path in undisturbed.iterdir()}
    assert {path.name for path in folder.iterdir()} == names
    for picture in ("accuracy_and_success.png", "samples.png"):
        assert (folder / picture).read_bytes() == (undisturbed / picture).read_bytes()


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
        session.run(ready(wanted), folder)
    assert str(caught.value) == (
        "nobody has answered in round 1: no reply in time; the run is stopped, "
        f"resume={folder} goes on after the last finished round"
    )
    assert status(folder) == "stopped"
