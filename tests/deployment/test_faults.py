"""What goes wrong on real machines, done to real processes: they are killed, and started again."""

import csv
import signal

import pytest

from tests.deployment.federation import Federation
from tests.deployment.simulated import assert_same_results, simulate
from tests.drill import drill

KILLED, AWAY = 2, 3
SLOW = "client.local_steps=60"
"""Long enough for a node to be met at work."""

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


@drill
def test_a_run_that_was_killed_goes_on_and_ends_like_one_that_was_not(federation, tmp_path):
    killed = federation.start_run("killed")
    killed.wait_until("round 1/3")
    killed.kill()
    found = federation.run("killed", f"resume={federation.folder / 'killed'}")
    assert "going on after round" in federation.runs[-1].said()
    assert_same_results(found, simulate(tmp_path / "simulated"))


@drill
def test_two_runs_that_are_started_at_the_same_moment_both_finish(federation, tmp_path):
    names = ("one", "other")
    runs = [federation.start_run(name) for name in names]
    assert [run.wait() for run in runs] == [0, 0]
    alone = simulate(tmp_path / "simulated")
    for name in names:
        assert_same_results(federation.folder / name, alone)


@drill
def test_one_run_lives_through_everything(federation):
    """A node is away, one is killed at work, the SuperLink is killed, and at last the user interrupts."""
    leaves = federation.nodes[AWAY]
    leaves.signal(signal.SIGTERM)
    assert leaves.wait() == 0
    run = federation.start_run(
        "everything", "engine.min_clients=3", "num_rounds=90", "server.round_timeout_seconds=15", SLOW
    )
    run.wait_until("round  1/90")
    federation.start_node(AWAY).wait_until("joined", 2)
    killed = federation.nodes[KILLED]
    killed.wait_until("a train message has come", killed.said().count("a train message has come") + 1)
    killed.kill()
    federation.start_node(KILLED).wait_until("a train message has come", killed.said().count("a train") + 1)
    federation.superlink.kill()
    run.wait_until("does not answer")
    federation.superlink.start()
    run.wait_until("is back after")
    rounds = run.said().count("/90  accuracy")
    run.wait_until("/90  accuracy", rounds + 2)
    run.signal(signal.SIGINT)
    assert run.wait() == INTERRUPTED
    assert "interrupted; what was done so far is on disk" in run.said()
    assert all(node.is_running for node in federation.nodes.values())
    why = rejections(federation.folder / "everything")
    last = max(server_round for server_round, _ in why)
    assert {client_id: why[1, client_id] for client_id in range(4)} == {
        **dict.fromkeys((0, 1, KILLED), ""),
        AWAY: "its node is not connected",
    }
    assert any(why[server_round, KILLED] for server_round in range(2, last))
    for came_back in (AWAY, KILLED):
        assert "" in {why[server_round, came_back] for server_round in (last - 1, last)}
