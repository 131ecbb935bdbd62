"""The courier in anybody's Flower app: the messages are those of Flower's FedAvg, a client is a node.

Replies are claims of strangers. One that cannot be used costs its node its place in the round, and neither
the round nor the run: Flower's own FedAvg stops where replies do not go together.
"""

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg
from numpy.typing import NDArray

from fl_backdoor.core.errors import ConfigError, ReplyError
from fl_backdoor.core.foreign_text import cleaned
from fl_backdoor.core.layout import Layout
from fl_backdoor.core.types import ModelArrays, UpdateMatrix
from strategies.base import ServerContext
from strategies.courier import Courier, Received, TrainRequest
from strategies.flower_replies import alike, local_model, numbers, positive

log = logging.getLogger("fl_backdoor")

NUM_STEPS, LEARNING_RATE = "num-steps", "learning-rate"
"""Metrics that are read if a client reports them."""

NODE_IDS = "node_ids"

ConfigureTrain = Callable[[int, ArrayRecord, ConfigRecord, Grid], Iterable[Message]]


@dataclass(frozen=True)
class _Reply:
    """A reply that can be used; its update is in its row."""

    content: RecordDict
    buffers: ModelArrays
    num_examples: float
    num_steps: float
    learning_rate: float | None


class FlowerCourier(Courier):
    """Sends what Flower's FedAvg sends, and checks what comes back.

    Clients are numbered in the order in which their nodes are first seen, those that are seen together by
    node id. On SuperNodes that order outlives a run with `state`; a simulation makes new node ids.

    Parameters
    ----------
    strategy
        Whose record keys and metric functions count.
    configure_train
        Flower's.
    num_steps
        Local steps of whoever does not report them, and the most that anybody may report; None: nobody knows.
    learning_rate
        Of clients that do not report theirs; None: nobody knows.
    steps_count
        Whether a reply without steps cannot be used; else they count as one.
    """

    def __init__(
        self,
        strategy: FedAvg,
        configure_train: ConfigureTrain,
        num_steps: float | None = None,
        learning_rate: float | None = None,
        *,
        steps_count: bool = False,
    ) -> None:
        self.strategy = strategy
        self.num_steps = num_steps
        self.learning_rate = learning_rate
        self.steps_count = steps_count
        self.node_ids: list[int] = []
        self._configure_train = configure_train
        self._layout = Layout(())
        self._request: TrainRequest | None = None
        self._sent: list[Message] = []
        self._memory: UpdateMatrix = np.empty((0, 0), dtype=np.float32)

    def prepare(self, server: ServerContext) -> None:
        """Hear what the model is made of."""
        self._layout = server.layout

    def ask(self, request: TrainRequest) -> list[Message]:
        """Return Flower's messages."""
        model = [(name, tuple(array.shape), str(array.dtype)) for name, array in request.arrays.items()]
        if model != [(tensor.name, tensor.shape, tensor.dtype) for tensor in self._layout.tensors]:
            raise ConfigError("arrays", "another model", "must be those that the strategy was started with")
        asked = self._configure_train(request.server_round, request.arrays, request.config, request.grid)
        self._request, self._sent = request, list(asked)
        known = set(self.node_ids)
        self.node_ids += sorted({message.metadata.dst_node_id for message in self._sent} - known)
        return self._sent

    def collect(self, server_round: int, replies: Iterable[Message]) -> Received:
        """Match the replies with what was sent, by the ids of messages, and check each of them."""
        answers = {message.metadata.reply_to_message_id: message for message in replies}
        client_ids = {node_id: client_id for client_id, node_id in enumerate(self.node_ids)}
        asked = sorted(
            (client_ids[sent.metadata.dst_node_id], sent.metadata.message_id) for sent in self._sent
        )
        updates = self._matrix(len(asked))
        usable: dict[int, _Reply] = {}
        rejected: dict[int, str] = {}
        for client_id, message_id in asked:
            found = self._judged(answers.get(message_id), updates[len(usable)])
            if isinstance(found, _Reply):
                usable[client_id] = found
            else:
                rejected[client_id] = cleaned(found)
                log.warning("client %d loses its place in the round: %s", client_id, rejected[client_id])
        return self._received(usable, rejected, updates[: len(usable)])

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return the nodes in the order in which they were seen."""
        return {NODE_IDS: np.array(self.node_ids, dtype=np.uint64)}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on with that order."""
        self.node_ids = [int(node_id) for node_id in state[NODE_IDS].tolist()] if NODE_IDS in state else []

    def close(self) -> None:
        """Free the memory of the updates."""
        self._memory = np.empty((0, 0), dtype=np.float32)

    def _matrix(self, num_rows: int) -> UpdateMatrix:
        """Return room for the updates of a round, that of the last one if it fits."""
        if len(self._memory) < num_rows:
            self._memory = np.empty((num_rows, self._layout.num_params), dtype=np.float32)
        return self._memory[:num_rows]

    def _judged(self, message: Message | None, row: NDArray[np.float32]) -> _Reply | str:
        """Write a client's update into its row, or return why its reply cannot be used.

        Nothing that goes wrong with it passes here: whatever Flower's decoder, NumPy's or a check raises
        costs that client its place, and nobody else anything.
        """
        if message is None:
            return "no reply in time"
        if message.has_error():
            return f"its node failed: {message.error.reason}"
        try:
            return self._usable(message.content, row)
        except ReplyError as error:
            return str(error)
        except Exception as error:  # a hostile reply can make anything of a decoder
            return f"unreadable reply: {type(error).__name__}: {error}"

    def _usable(self, content: RecordDict, row: NDArray[np.float32]) -> _Reply:
        assert self._request is not None
        sent, weight = self._request.model, self.strategy.weighted_by_key
        metrics = numbers(content, weight)
        num_steps, rate = self._steps(metrics), metrics.get(LEARNING_RATE, self.learning_rate)
        learning_rate = None if rate is None else positive(LEARNING_RATE, rate)
        arrays = local_model(content, self._layout)
        buffers = self._layout.buffers(arrays)
        self._layout.check_statistics(buffers, sent)
        self._layout.write_update(arrays, sent, row)
        return _Reply(content, buffers, float(metrics[weight]), num_steps, learning_rate)

    def _steps(self, metrics: Mapping[str, object]) -> float:
        steps = metrics.get(NUM_STEPS, self.num_steps if self.steps_count else self.num_steps or 1)
        if steps is None:
            raise ReplyError(f"it does not report {NUM_STEPS}, and the strategy was not told num_steps")
        return positive(NUM_STEPS, steps, 1, math.inf if self.num_steps is None else self.num_steps)

    def _received(
        self, usable: Mapping[int, _Reply], rejected: Mapping[int, str], updates: UpdateMatrix
    ) -> Received:
        replies = list(usable.values())
        contents = alike([reply.content for reply in replies])
        rates = [reply.learning_rate for reply in replies if reply.learning_rate is not None]
        strategy = self.strategy
        updates.flags.writeable = False
        return Received(
            client_ids=np.array(list(usable), dtype=np.int64),
            updates=updates,
            buffers=[reply.buffers for reply in replies],
            num_steps=np.array([reply.num_steps for reply in replies], dtype=np.float64),
            num_examples=np.array([reply.num_examples for reply in replies], dtype=np.float64),
            learning_rate=float(np.median(rates)) if rates else math.nan,
            rejected=rejected,
            metrics=strategy.train_metrics_aggr_fn(contents, strategy.weighted_by_key) if contents else None,
        )
