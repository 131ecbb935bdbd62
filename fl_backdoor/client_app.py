"""The ClientApp: what runs on a node, in simulation and on real machines.

A node hosts clients. A train message names those it is to train; each is built, trained and answered for
by itself, so that one that fails costs nobody else anything. The app is pickled with every message in
simulation: it stays an importable object, and what is expensive is cached here, in the worker.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import torch
from flwr.app import Context, Message
from flwr.client import NumPyClient
from flwr.clientapp import ClientApp

from clients.benign import SERVER_ROUND, BenignClient, LocalTask
from clients.malicious import MaliciousClient
from fl_backdoor.config import ExperimentConfig, parse_json
from fl_backdoor.errors import ReplyError
from fl_backdoor.exchange.node import exchange_for
from fl_backdoor.messages import (
    NUM_STEPS,
    TRAIN_LOSS,
    TRAIN_SECONDS,
    ClientFailure,
    ClientReply,
    TrainTask,
    check_metrics,
    pack_replies,
    unpack_task,
)
from fl_backdoor.types import ModelArrays
from fl_backdoor.world import World

log = logging.getLogger("fl_backdoor")

app = ClientApp()


BuildClient = Callable[[World, int], NumPyClient]
"""From what all clients know and a client id to the client."""


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train the clients that the message names, one after the other."""
    return answer(message, build_client)


def answer(message: Message, build: BuildClient) -> Message:
    """Train the clients that the message names, each as `build` makes it."""
    arrays, task = unpack_task(message.content)
    torch.set_num_threads(_config(task.experiment).engine.threads_per_worker)
    replies = [
        _train_client(client_id, row, arrays, task, build)
        for client_id, row in zip(task.client_ids, task.rows, strict=True)
    ]
    return Message(pack_replies(replies), reply_to=message)


def build_client(world: World, client_id: int) -> BenignClient:
    """Return the client with this partition id, benign or malicious as the configuration has it."""
    config = world.config
    images = world.training_images.select(world.partition[client_id])
    task = LocalTask(client_id, config.seed, images, world.trainer)
    if client_id not in world.malicious_ids:
        return BenignClient(task)
    return MaliciousClient(task, config.attack, world.trigger_of(client_id))


def _train_client(
    client_id: int, row: int, arrays: ModelArrays, task: TrainTask, build: BuildClient
) -> ClientReply | ClientFailure:
    try:
        world = _world(task.experiment)
        exchange = exchange_for(arrays, task, world.layout)
        client = build(world, client_id)
        local, num_examples, metrics = client.fit(exchange.model, {SERVER_ROUND: task.server_round})
        reply = ClientReply(
            client_id=client_id,
            arrays=[],
            num_examples=num_examples,
            num_steps=int(metrics[NUM_STEPS]),
            train_loss=float(metrics[TRAIN_LOSS]),
            train_seconds=float(metrics[TRAIN_SECONDS]),
        )
        # The server looks at the numbers first: the reason is the same wherever a model is checked.
        check_metrics(reply)
        return replace(reply, arrays=exchange.deliver(local, row))
    except ReplyError as error:
        return ClientFailure(client_id, str(error))
    except Exception as error:  # whatever a plug-in raises
        log.exception("client %d failed", client_id)
        return ClientFailure(client_id, f"{type(error).__name__}: {error}")


@lru_cache(maxsize=1)
def _config(experiment: str) -> ExperimentConfig:
    return parse_json(experiment)


@lru_cache(maxsize=1)
def _world(experiment: str) -> World:
    return World(_config(experiment))
