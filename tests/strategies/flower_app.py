"""A stranger's Flower app in this process: a real ClientApp, and a grid that calls it at once."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.supercore.run import Run

Arrays = dict[str, np.ndarray]
Spoil = Callable[[Message, Message], Message | None]
"""From a request and its reply to what is sent instead; None: nothing is."""

FIRST_NODE = 2**63


def model() -> Arrays:
    """Two parameters in the order that Flower sends them, and BatchNorm's buffers."""
    return {
        "weight": np.zeros((2, 2), np.float32),
        "norm.running_mean": np.zeros(2, np.float32),
        "norm.num_batches_tracked": np.array(0),
        "bias": np.zeros(1, np.float32),
    }


@dataclass
class InProcess(Grid):
    """Nodes 0, 1, …, each of which moves every floating array by its own step.

    Parameters
    ----------
    steps
        How far the clients move, by the place of their node.
    metrics
        What they report beside ``num-examples`` = 10 · (place + 1).
    spoil
        What becomes of replies to train messages, by place.
    """

    steps: list[float]
    metrics: Callable[[int], Mapping[str, Any]] = lambda place: {}
    spoil: Mapping[int, Spoil] = field(default_factory=dict)
    seen: list[tuple[str, int, dict[str, Any]]] = field(default_factory=list)
    num_sent: int = 0

    def __post_init__(self) -> None:
        app = self.app = ClientApp()

        @app.train()
        def train(message: Message, context: Context) -> Message:
            place = int(context.node_config["partition-id"])
            local = {name: moved(array, self.steps[place]) for name, array in received(message).items()}
            metrics = {"num-examples": 10 * (place + 1), **self.metrics(place)}
            self.seen.append(("train", place, dict(message.content["config"])))
            content = RecordDict({"arrays": record(local), "metrics": MetricRecord(metrics)})
            return Message(content, reply_to=message)

        @app.evaluate()
        def evaluate(message: Message, context: Context) -> Message:
            place = int(context.node_config["partition-id"])
            self.seen.append(("evaluate", place, dict(message.content["config"])))
            metrics = {"num-examples": 1, "place": float(place)}
            return Message(RecordDict({"metrics": MetricRecord(metrics)}), reply_to=message)

    def get_node_ids(self) -> Iterable[int]:
        return [FIRST_NODE + 7 * place for place in range(len(self.steps))]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        replies = []
        for message in messages:
            self.num_sent += 1
            # As Flower's grids do when they send.
            message.metadata.__dict__["_message_id"] = f"message-{self.num_sent}"
            place = (message.metadata.dst_node_id - FIRST_NODE) // 7
            context = Context(1, message.metadata.dst_node_id, {"partition-id": place}, RecordDict(), {})
            reply: Message | None = self.app(message, context)
            spoil = self.spoil.get(place)
            if spoil and message.metadata.message_type == "train":
                reply = spoil(message, reply)
            if reply is not None:
                replies.append(reply)
        return replies[::-1]

    def set_run(self, run: Run) -> None:
        raise NotImplementedError

    @property
    def run(self) -> Run:
        raise NotImplementedError

    def create_message(self, *_: Any) -> Message:
        raise NotImplementedError

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        raise NotImplementedError

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        raise NotImplementedError


def record(arrays: Mapping[str, np.ndarray]) -> ArrayRecord:
    return ArrayRecord({name: Array(array) for name, array in arrays.items()})


def received(message: Message) -> Arrays:
    return {name: array.numpy() for name, array in message.content["arrays"].items()}


def moved(array: np.ndarray, step: float) -> np.ndarray:
    return np.asarray(array + (step if array.dtype.kind == "f" else 1), array.dtype)


def run(
    strategy: Any, grid: Grid, arrays: Arrays | None = None, num_rounds: int = 1, **settings: Any
) -> Arrays:
    """Run a strategy and return the model that it ends with; the first one if no round moved it."""
    first = record(model() if arrays is None else arrays)
    result = strategy.start(grid, first, num_rounds, **settings)
    return {name: array.numpy() for name, array in (result.arrays or first).items()}


def error(message: Message, reply: Message) -> Message:
    return Message(Error(code=2, reason="the ClientApp\nraised"), reply_to=message)


def config(**values: Any) -> ConfigRecord:
    return ConfigRecord(values)
