"""One experiment on hosts of its own, with TLS and keys, and the same one in a simulation."""

import subprocess

import pytest

from fl_backdoor.engine.deployment import authority
from fl_backdoor.engine.deployment.registration import Registrar
from tests.deployment.federation import Federation, secured
from tests.deployment.hosts import HERE, Hosts, why_not
from tests.deployment.simulated import assert_same_results, simulate

ROUNDS = "num_rounds=3"
CLIENTS = {0: (0,), 1: (1,), 2: (2, 3)}
"""Whom each node hosts, by the first of them."""
NODES = {client_id: f"node {client_id}" for client_id in CLIENTS}


def deployed(folder, server, node_hosts):
    """Make the run with three nodes, one of them malicious, TLS and keys on, and return its folder."""
    certs = folder / "certs"
    security = secured(certs, server)
    with Federation(folder, security, server, node_hosts) as federation:
        registrar = Registrar(federation.superlink.address, certs / authority.AUTHORITY)
        keys = [certs / f"node-{client_id}.pub" for client_id in NODES]
        list(registrar.register(keys, list(CLIENTS.values())))
        for client_id, hosted in CLIENTS.items():
            federation.start_node(client_id, "--partition", ",".join(map(str, hosted)))
        for node in federation.nodes.values():
            node.wait_until("joined")
        return federation.run("deployed", ROUNDS)


def test_four_hosts_come_to_the_same_results_as_a_simulation(tmp_path):
    """No host has a route to anywhere else: whatever would call home fails or hangs here."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with Hosts("server", *NODES.values()) as hosts:
        for name in ("server", *NODES.values()):
            routes = subprocess.run(
                [*hosts[name].prefix, "ip", "route"], capture_output=True, text=True, check=True
            )
            assert "default" not in routes.stdout
        nodes = {client_id: hosts[name] for client_id, name in NODES.items()}
        found = deployed(tmp_path, hosts["server"], nodes)
    assert_same_results(found, simulate(tmp_path / "simulated", ROUNDS))


@pytest.mark.skipif(why_not() is None, reason="the same is shown on hosts of its own")
def test_where_there_can_be_no_hosts_four_processes_do(tmp_path):
    found = deployed(tmp_path, HERE, {})
    assert_same_results(found, simulate(tmp_path / "simulated", ROUNDS))
