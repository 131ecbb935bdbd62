"""What a round on SuperNodes costs beyond the clients' own work: the clients do nothing.

One SuperLink without TLS, nodes and server app on this machine, FedAvg, everybody takes part. Bytes are those
that the SuperLink itself counts, over all nodes: what passes between it and them.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from flwr.proto.control_pb2 import ListRunsRequest
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.interceptors.http import RuntimeVersionHttpInterceptor

from benchmarks.engine import Rounds
from benchmarks.measure import Figure, Scale
from fl_backdoor.config.schema import DeploymentConfig, ExperimentConfig, parse_whole
from fl_backdoor.engine.deployment.engine import Deployment
from fl_backdoor.federation.server_app import Experiment
from fl_backdoor.runner.checks import check
from fl_backdoor.runner.composition import composed
from tests.deployment.superlinks import SuperLink

SIZES = (100_000, 1_000_000, 11_000_000)
NODES = (2, 4)
DATABASE = ("--database", "state.db")


def measure(scale: Scale) -> Iterator[Figure]:
    """Measure all numbers of nodes and sizes, then what the database and float16 change."""
    num_rounds = scale.repeats + 2
    for num_nodes in NODES[:1] if scale.small else NODES:
        for size in SIZES[:1] if scale.small else SIZES:
            yield from _case(num_nodes, size, num_rounds)
    if not scale.small:
        yield from _case(4, SIZES[1], num_rounds, updates="float16")
        yield from _case(4, SIZES[1], num_rounds, database=True)


def _case(
    num_nodes: int, num_params: int, num_rounds: int, updates: str = "float32", *, database: bool = False
) -> Iterator[Figure]:
    flags = ("--insecure", "--isolation", "process", *(DATABASE if database else ()))
    with (
        tempfile.TemporaryDirectory() as folder,
        SuperLink(flags, Path(folder)) as superlink,
        ExitStack() as stack,
    ):
        for client_id in range(num_nodes):
            stack.callback(_ended, _node(superlink.address, client_id, Path(folder)))
        rounds = _run(_config(superlink.address, num_nodes, num_params, num_rounds, updates))
        sent, received = _traffic(superlink.address)
    case = f"{num_nodes} nodes x {num_params / 1e6:g} M, {updates}{', database on disk' if database else ''}"
    yield Figure(case, "round", "s", rounds.seconds())
    yield Figure(case, "of it until all have answered", "s", rounds.column("train_seconds"))
    yield Figure(case, "to all nodes, a round", "MB", (sent / num_rounds / 1e6,))
    yield Figure(case, "from all nodes, a round", "MB", (received / num_rounds / 1e6,))


def _traffic(address: str) -> tuple[int, int]:
    """Return how many bytes the SuperLink has sent to nodes and received from them in its one run."""
    client = ControlHttpClient.from_server_address(
        address,
        insecure=True,
        root_certificates=None,
        interceptors=[RuntimeVersionHttpInterceptor("benchmark")],
    )
    [run] = client.ListRuns(ListRunsRequest()).run_dict.values()
    return run.bytes_sent, run.bytes_recv


def _node(address: str, client_id: int, folder: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "benchmarks.idle_node", address, str(client_id)]
    with (folder / f"node-{client_id}.log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)


def _ended(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()


def _run(config: ExperimentConfig) -> Rounds:
    assert isinstance(config.engine, DeploymentConfig)
    experiment, rounds = Experiment(config), Rounds()
    Deployment(config.engine, print).run(lambda grid: experiment.run(grid, rounds.on_round))
    return rounds


def _config(address: str, num_nodes: int, num_params: int, num_rounds: int, updates: str) -> ExperimentConfig:
    overrides = [
        *("engine=deployment", f"engine.address={address}", "engine.insecure=loopback"),
        *("dataset=mnist5k", "attack=none", f"partition.num_clients={num_nodes}"),
        *("model._target_=benchmarks.idle.Weight", f"+model.num_params={num_params}"),
        *(f"num_rounds={num_rounds}", f"engine.updates={updates}"),
    ]
    return check(parse_whole(next(composed(overrides)))[0]).config
