"""What goes wrong on real machines, done to real processes: they are killed, and started again."""

import csv
import signal

import pytest

from tests.deployment.federation import MALICIOUS, Federation
from tests.deployment.simulated import assert_same_results, simulate

KILLED, AWAY = 2, 3
INTERRUPTED = 130


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    """A SuperLink that keeps its state on disk, and four nodes."""
    with Federation(tmp_path_factory.mktemp("federation"), options=("--database", "state.db")) as made:
        made.start_nodes()
        yield made


def rejections(folder):
    """Return why clients lost their places, by round and client id."""
    with (folder / "clients.csv").open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    return {(int(row["server_round"]), int(row["client_id"])): row["rejected"] for row in rows}


def test_a_run_that_was_killed_goes_on_and_ends_like_one_that_was_not(federation, tmp_path):
    killed = federation.start_run("killed")
    killed.wait_until("round 1/3")
    killed.kill()
    found = federation.run("killed", f"resume={federation.folder / 'killed'}")
    assert "going on after round" in federation.runs[-1].said()
    assert_same_results(found, simulate(tmp_path / "simulated"))


def test_ctrl_c_ends_a_run_and_leaves_the_nodes(federation):
    run = federation.start_run("interrupted", "num_rounds=50")
    run.wait_until("round  1/50")
    run.signal(signal.SIGINT)
    assert run.wait() == INTERRUPTED
    assert "interrupted; what was done so far is on disk" in run.said()
    assert all(node.is_running for node in federation.nodes.values())


def test_a_round_goes_on_without_nodes_that_are_not_there(federation):
    node = federation.nodes[AWAY]
    node.signal(signal.SIGTERM)
    assert node.wait() == 0
    found = federation.run("without-one", "engine.min_clients=3", "num_rounds=1")
    federation.start_node(AWAY).wait_until("joined", 2)
    why = rejections(found)
    assert why == {(1, 0): "", (1, 1): "", (1, 2): "", (1, AWAY): "its node is not connected"}


def test_a_node_that_is_killed_at_work_costs_its_own_place_and_comes_back(federation):
    node = federation.nodes[KILLED]
    # Long enough to be met at work.
    run = federation.start_run("killed-node", "server.round_timeout_seconds=25", "client.local_steps=60")
    run.wait_until("round 1/3")
    heard = node.said().count("a train message has come")
    node.wait_until("a train message has come", heard + 1)
    node.kill()
    federation.start_node(KILLED)
    assert run.wait() == 0, run.said()
    why = rejections(federation.folder / "killed-node")
    assert why[2, KILLED] == "no reply in time"
    assert why[3, KILLED] == ""
    assert {client_id: why[2, client_id] for client_id in (MALICIOUS, 1, 3)} == {MALICIOUS: "", 1: "", 3: ""}


def test_a_superlink_that_is_killed_and_started_again_is_waited_for(federation):
    run = federation.start_run("killed-superlink", "server.round_timeout_seconds=25")
    run.wait_until("round 1/3")
    federation.superlink.kill()
    run.wait_until("does not answer")
    federation.superlink.start()
    assert run.wait() == 0, run.said()
    assert "is back after" in run.said()
    assert all(node.is_running for node in federation.nodes.values())
    again = federation.run("after-all")
    assert set(rejections(again).values()) == {""}
