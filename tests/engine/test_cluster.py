"""A Ray cluster of two nodes on one machine runs the same experiment to the same result."""

import os
import signal
import threading

import numpy as np
import pytest
import ray._private.state
from ray.cluster_utils import Cluster

from fl_backdoor.core.errors import NobodyAnswers
from fl_backdoor.engine.simulation import Simulation, resources
from fl_backdoor.federation.grid import StoppableGrid
from tests.drill import drill
from tests.engine.test_simulation import experiment, run, without_clocks
from tests.golden.in_process import InProcessGrid
from tests.runner.test_main import fill_with_our_names

SETTINGS = ["strategy=hybrid", "attack.alpha=0.3", "engine.num_workers=2", "num_rounds=1"]


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """The cluster, whose workers look into a folder where others have our packages' names."""
    fill_with_our_names(tmp_path)
    monkeypatch.chdir(tmp_path)
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    nodes.add_node(num_cpus=1)
    yield nodes
    nodes.shutdown()


class InProcess:
    """A simulation without Ray."""

    def run(self, job):
        job(StoppableGrid(InProcessGrid(), threading.Event(), 0))


def test_two_nodes_give_the_result_of_one_process(cluster):
    here = run(InProcess(), *SETTINGS)
    address = f"engine.address={cluster.address}"
    simulation = Simulation(resources(experiment(*SETTINGS, address).config))
    try:
        on_cluster = run(simulation, *SETTINGS, address)
        nodes = ray._private.state.available_resources_per_node().values()
        left = [node.get("CPU", 0) for node in nodes]
    finally:
        simulation.close()
    assert left == [0, 0], "an actor on each of the two nodes, which have one CPU each"
    assert without_clocks(on_cluster[0]) == without_clocks(here[0])
    assert without_clocks(on_cluster[1]) == without_clocks(here[1])
    assert all(np.array_equal(a, b) for a, b in zip(on_cluster[2], here[2], strict=True))


@drill
def test_a_machine_that_is_gone_ends_the_run_and_is_no_clients_fault(cluster):
    wanted = experiment(*SETTINGS, "num_rounds=1000", f"engine.address={cluster.address}")
    [raylet] = cluster.list_all_nodes()[1].all_processes["raylet"]
    rejected = []

    def on_round(finished):
        if finished.row["server_round"] == 1:
            os.kill(raylet.process.pid, signal.SIGKILL)
        rejected.extend(client["rejected"] for client in finished.clients)

    simulation = Simulation(resources(wanted.config))
    try:
        with pytest.raises(
            NobodyAnswers, match=rf"the Ray at {cluster.address} has lost machines of this run"
        ):
            simulation.run(lambda grid: wanted.run(grid, on_round))
    finally:
        simulation.close()
    assert rejected
    assert set(rejected) == {None}
