"""Runs without Ray and without other processes: a Flower grid whose only node is this process."""

import hashlib
import threading
from collections.abc import Iterable, Mapping
from functools import cache
from uuid import uuid4

import numpy as np
import torch
from flwr.app import Message
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity
from numpy.lib import introspect
from threadpoolctl import threadpool_info

from fl_backdoor.config.schema import ExperimentConfig, parse_whole
from fl_backdoor.federation.client_app import answer, build_client
from fl_backdoor.federation.grid import StoppableGrid
from fl_backdoor.federation.rounds import Row
from fl_backdoor.federation.server_app import Experiment
from fl_backdoor.runner import start
from fl_backdoor.runner.composition import composed

RULES = ("fedavg", "iqr_filter", "clip_avg", "hybrid", "krum", "flame", "persistent_direction")

SMALL = ("dataset=mnist5k", "num_rounds=2", "client.local_steps=2", "precision=fp32", "engine.device=cpu")
"""The article's settings, but for the data and the length."""

DEPLOYED = ("engine=deployment", "engine.insecure=loopback")

LATER = ("robust_accuracy", "mean_client_accuracy", "worst_tenth_client_accuracy", "learning_rate")
"""Columns that runs did not have when their bits were written down; no column of then follows from them."""

METRICS = ("main_task_accuracy", "attack_success_rate", "success_rate", "test_loss")

Run = dict[str, object]
"""Hashes of a run's rows and model, and its metrics after the last round."""


class InProcessGrid(Grid):
    """Answers each message at once, in the thread that sends it."""

    def __init__(self) -> None:
        # Flower's messages say whose they are.
        TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1
        self._replies: dict[str, Message] = {}

    def set_run(self, run):
        """Do nothing: there is one."""

    @property
    def run(self):
        raise NotImplementedError

    def create_message(self, content, message_type, dst_node_id, group_id, ttl=None):
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        return [1]

    def get_nodes(self):
        return []

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        pushed = []
        for message in messages:
            # As Flower's own grid in memory does it.
            message.metadata.__dict__["_message_id"] = str(uuid4())
            self._replies[message.metadata.message_id] = answer(message, build_client)
            pushed.append(message.metadata.message_id)
        return pushed

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return [self._replies.pop(found) for found in message_ids]

    def send_and_receive(self, messages, *, timeout=None):
        return self.pull_messages(self.push_messages(messages))


def configured(*settings: str) -> ExperimentConfig:
    """Return the configuration of a small run."""
    [plain] = composed([*SMALL, *settings])
    return parse_whole(plain)[0]


def made(config: ExperimentConfig) -> Run:
    """Make a run in this process."""
    rows, clients, model = played(config)
    return {
        "model": _digest(*(array.tobytes() for array in model.values())),
        "rounds": _digest(repr(rows).encode()),
        "clients": _digest(repr(clients).encode()),
        "metrics": {name: round(float(rows[-1][name]), 4) for name in METRICS},
    }


def played(config: ExperimentConfig) -> tuple[list[Row], list[Row], Mapping[str, np.ndarray]]:
    """Make a run in this process, and return the rows of its tables, clocks aside, and its last model."""
    rows, clients = [], []

    def on_round(finished):
        rows.append(_without_clocks(finished.row))
        clients.extend(map(_without_clocks, finished.clients))

    num_threads = torch.get_num_threads()
    experiment = Experiment(config)
    start.begin(config, experiment.context.model)
    try:
        experiment.run(StoppableGrid(InProcessGrid(), threading.Event(), 0), on_round)
    finally:
        torch.set_num_threads(num_threads)
    return rows, clients, experiment.model()


@cache
def machine() -> str:
    """Name what bits depend on: PyTorch's build and its kernels, NumPy and those of its BLAS."""
    blas = {str(found.get("architecture")) for found in threadpool_info() if found["user_api"] == "blas"}
    features = introspect.opt_func_info("^(add|multiply|sum)$", "float32")
    kernels = {kind["current"] for kinds in features.values() for kind in kinds.values()}
    return (
        f"torch {torch.__version__} {torch.backends.cpu.get_cpu_capability()}, "
        f"numpy {np.__version__} {' '.join(sorted(kernels))}, BLAS {' '.join(sorted(blas))}"
    )


def _without_clocks(row: Mapping[str, object]) -> dict[str, object]:
    return {
        name: value
        for name, value in sorted(row.items())
        if not name.endswith("_seconds") and name not in LATER
    }


def _digest(*parts: bytes) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()[:16]
