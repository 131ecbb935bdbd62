"""The ClientApp: what runs on a node, in simulation and on real machines.

A node hosts clients. A train message names those it is to train; each is built, trained and answered for
by itself, so that one that fails costs nobody else anything. The app is pickled with every message in
simulation: it stays an importable object, and what is expensive is cached here, in the worker.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import torch
from flwr.app import Context, Message
from flwr.client import NumPyClient
from flwr.clientapp import ClientApp
from flwr.common import Scalar

from clients import Adversary, LocalTask
from clients.benign import SERVER_ROUND
from fl_backdoor import __version__
from fl_backdoor.config.schema import ExperimentConfig, parse_json
from fl_backdoor.core.errors import FlBackdoorError, ReplyError
from fl_backdoor.core.report_names import NUM_STEPS, SHARED_STATE, TRAIN_LOSS, TRAIN_SECONDS
from fl_backdoor.core.types import ModelArrays
from fl_backdoor.data.fingerprint import fingerprint, kind_of
from fl_backdoor.federation.context import ExperimentContext
from fl_backdoor.federation.hosting import Hosting, hosting
from fl_backdoor.federation.invitation import Answer, Invitation, pack_answer, unpack_invitation
from fl_backdoor.federation.messages import (
    ClientFailure,
    ClientReply,
    TrainTask,
    check_claims,
    failure,
    pack_replies,
    unpack_task,
)
from fl_backdoor.federation.transport.choice import exchange_for

log = logging.getLogger("fl_backdoor")

app = ClientApp()


BuildClient = Callable[[ExperimentContext, int], NumPyClient]
"""From what all clients know and a client id to the client."""


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train the clients that the message names, one after the other."""
    here = hosting(context.node_config)
    return answer(message, build_client if here is None else partial(build_hosted_client, here), here)


@app.query()
def query(message: Message, context: Context) -> Message:
    """Say which clients live on this node, or why it takes no part in the run."""
    try:
        found = _accepted(unpack_invitation(message.content), hosting(context.node_config))
    except FlBackdoorError as error:
        found = Answer((), str(error))
    return Message(pack_answer(found), reply_to=message)


def answer(message: Message, build: BuildClient, here: Hosting | None = None) -> Message:
    """Train the clients that the message names, each as `build` makes it, on the node `here`."""
    arrays, task = unpack_task(message.content)
    torch.set_num_threads(_config(task.experiment, here).engine.threads_per_worker)
    order = _Order(arrays, task, build, here)
    replies = [
        _train_client(client_id, row, order)
        for client_id, row in zip(task.client_ids, task.rows, strict=True)
    ]
    return Message(pack_replies(replies), reply_to=message)


def build_client(context: ExperimentContext, client_id: int) -> NumPyClient:
    """Return the client with this partition id, benign or malicious as the configuration has it."""
    is_malicious = client_id in context.malicious_ids
    return (
        _malicious_client(context, None, client_id)
        if is_malicious
        else _benign_client(context, None, client_id)
    )


def build_hosted_client(here: Hosting, context: ExperimentContext, client_id: int) -> NumPyClient:
    """Return a client that lives on this node, benign or malicious as the node was started.

    Raises
    ------
    ReplyError
        If it does not live here.
    """
    if client_id not in here.client_ids:
        raise ReplyError(f"client {client_id} does not live on this node")
    build = _malicious_client if here.is_malicious else _benign_client
    return build(context, here, client_id)


def _benign_client(context: ExperimentContext, here: Hosting | None, client_id: int) -> NumPyClient:
    return context.benign_client(task=_task(context, here, client_id))


def _malicious_client(context: ExperimentContext, here: Hosting | None, client_id: int) -> NumPyClient:
    # One that the run's metrics do not count on has no rank.
    rank = context.rank_of(client_id) if client_id in context.malicious_ids else None
    task, adversary = _task(context, here, client_id), _adversary(context, here)
    return context.malicious_client(task=task, adversary=adversary, rank=rank)


def _task(context: ExperimentContext, here: Hosting | None, client_id: int) -> LocalTask:
    samples = context.training_samples
    if here is None or not here.owns_data:
        samples = samples.select(context.partition[client_id])
    return LocalTask(client_id, context.config.seed, samples, context.trainer, context.layout)


@lru_cache(maxsize=1)
def _adversary(context: ExperimentContext, here: Hosting | None) -> Adversary:
    # Where a node has data of its own, those of the other malicious clients are elsewhere.
    owns_data = here is not None and here.owns_data
    client_ids = here.client_ids if here is not None and owns_data else sorted(context.malicious_ids)
    build = partial(_benign_client, context, here)
    return Adversary(context.attack, context.trainer, context.layout, client_ids, build)


def _accepted(invitation: Invitation, here: Hosting | None) -> Answer:
    """Return who lives here; raises FlBackdoorError with the reason if this node cannot take part."""
    if here is None:
        raise FlBackdoorError("it was not told whom it hosts: start it with --partition")
    if invitation.project_version != __version__:
        versions = f"{__version__} is installed here, the run is made with {invitation.project_version}"
        raise FlBackdoorError(f"fl-backdoor {versions}")
    config = _config(invitation.experiment, here)
    too_large = [client_id for client_id in here.client_ids if client_id >= config.partition.num_clients]
    if too_large:
        raise FlBackdoorError(
            f"it hosts client {too_large[0]}, the run has {config.partition.num_clients} clients"
        )
    if here.is_malicious and here.owns_data and config.attack.holds_target is not None:
        raise FlBackdoorError(
            "attack.holds_target goes by the common data set: with data of its own this node does not know "
            "who else is malicious, nor its rank among them"
        )
    context = _context(invitation.experiment, here)
    found, wanted = fingerprint(context.dataset, context.data), invitation.data
    if here.owns_data:
        found, wanted = kind_of(found), kind_of(wanted)
    if found != wanted:
        raise FlBackdoorError(f"its data are {found}; the run's are {wanted}")
    # Whatever takes long is done before the first round asks for it.
    _ = here.owns_data or context.partition, context.training_samples, context.trainer, context.attack
    return Answer(here.client_ids, num_own_samples=len(context.training_samples) if here.owns_data else 0)


@dataclass(frozen=True)
class _Order:
    """What a train message says to all clients of a node."""

    arrays: ModelArrays
    task: TrainTask
    build: BuildClient
    here: Hosting | None


def _train_client(client_id: int, row: int, order: _Order) -> ClientReply | ClientFailure:
    try:
        context = _context(order.task.experiment, order.here)
        exchange = exchange_for(order.arrays, order.task, context.layout)
        client = order.build(context, client_id)
        asked = order.task
        context.begin_round(asked.server_round)
        config: dict[str, Scalar] = {SERVER_ROUND: asked.server_round, SHARED_STATE: asked.shared_state}
        before = time.process_time()
        local, num_examples, metrics = client.fit(exchange.model, config)
        cpu_seconds = time.process_time() - before
        shared_state = metrics.get(SHARED_STATE, b"")
        reply = ClientReply(
            client_id=client_id,
            num_examples=num_examples,
            num_steps=int(metrics[NUM_STEPS]),
            train_loss=float(metrics[TRAIN_LOSS]),
            train_seconds=float(metrics[TRAIN_SECONDS]),
            cpu_seconds=cpu_seconds,
            shared_state=shared_state if isinstance(shared_state, bytes) else b"",
        )
        # The server looks at the numbers first: the reason is the same wherever a model is checked.
        check_claims(reply)
        return replace(reply, arrays=exchange.deliver(local, row))
    except ReplyError as error:
        return ClientFailure(client_id, str(error))
    except Exception as error:  # whatever a plug-in raises
        log.exception("client %d failed", client_id)
        return failure(client_id, error)


@lru_cache(maxsize=1)
def _config(experiment: str, here: Hosting | None) -> ExperimentConfig:
    config = parse_json(experiment)
    return config if here is None else here.here(config)


@lru_cache(maxsize=1)
def _context(experiment: str, here: Hosting | None) -> ExperimentContext:
    return ExperimentContext(_config(experiment, here))
