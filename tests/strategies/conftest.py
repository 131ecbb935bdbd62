"""A federation of three tensors, and what travels between its server and its nodes.

The model: `weight` (2 x 2) and `bias` (1) are trained, `mean` (2) and `count` (no axes) are BatchNorm's.
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.supercore.task_identity import TaskIdentity
from numpy.typing import ArrayLike, NDArray

from fl_backdoor.config.schema import ClientConfig, ServerConfig
from fl_backdoor.core import plugins, strategy_plugin
from fl_backdoor.core.layout import Layout, TensorSpec
from fl_backdoor.federation.courier import HostedClients
from fl_backdoor.federation.messages import METRICS, ClientReply, unpack_task
from fl_backdoor.federation.replies import RoundReplies
from fl_backdoor.federation.transport.choice import Transport
from strategies.base import ClientUpdates, ServerContext
from strategies.chain.inner_courier import InnerCourier
from strategies.robust_strategy import RobustStrategy
from tests.plain_draw import plain_draw

LAYOUT = Layout(
    (
        TensorSpec("weight", (2, 2), "float32", True),
        TensorSpec("mean", (2,), "float32", False),
        TensorSpec("count", (), "int64", False),
        TensorSpec("bias", (1,), "float32", True),
    )
)

SERVER = {
    "learning_rate": 1.0,
    "weighting": "equal",
    "buffers": "average",
    "min_replies": 1,
    "round_timeout_seconds": 60.0,
    "eval_batch_size": 100,
}


def state(
    parameters: ArrayLike = (0, 0, 0, 0, 0), mean: ArrayLike = (0, 0), count: int = 0
) -> list[NDArray[Any]]:
    values = np.asarray(parameters, dtype=np.float32)
    return [values[:4].reshape(2, 2), np.asarray(mean, dtype=np.float32), np.array(count), values[4:]]


@pytest.fixture(autouse=True)
def small_heap() -> Iterator[None]:
    """Keep what is loaded so far out of the collections that Flower's Bulyan forces for each client."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def inside_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give this process the identity that Flower gives a ServerApp's; messages are made out in its name."""
    for name in ("_run_id", "_node_id", "_task_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)


@dataclass(frozen=True)
class Federation:
    """A server of the bench and its clients, and the strategies that are built for it."""

    server: ServerContext
    client: ClientConfig
    way: Transport = "messages"
    max_lost_rounds: int = 1

    def build(self, rule: type[RobustStrategy], /, **settings: Any) -> Any:
        return self._prepared(rule(courier=self._courier(), **settings))

    def knowing(self, **changes: Any) -> "Federation":
        """Return the same with another layout, say."""
        return replace(self, server=replace(self.server, **changes))

    def configured(self, spec: plugins.Spec) -> Any:
        return self._prepared(
            strategy_plugin.build(spec, inside={"courier": InnerCourier()}, courier=self._courier())
        )

    def _prepared(self, strategy: RobustStrategy) -> RobustStrategy:
        strategy.prepare(self.server)
        return strategy

    def _courier(self) -> HostedClients:
        num_drawn = self.server.participants_per_round or 0
        drawn = partial(plain_draw, len(self.server.partition_sizes), num_drawn, self.server.seed)
        rate, lost = self.client.learning_rate, self.max_lost_rounds
        return HostedClients("{}", self.client, drawn, self.way, lost, learning_rate=lambda _: rate)


@pytest.fixture
def make_federation() -> Callable[..., Federation]:
    """Return a maker: number of clients, then any server setting. Clients hold 100 samples: 10 steps."""

    def make(
        num_clients: int = 4, participants: int | None = None, *, way: Transport = "messages", **server: Any
    ) -> Federation:
        settings = ServerConfig(**{**SERVER, **server})
        client = ClientConfig(0.5, 0.0, 0.0, batch_size=10, local_epochs=1)
        known = ServerContext(
            layout=LAYOUT.as_counted(settings.buffers),
            num_rounds=20,
            seed=7,
            partition_sizes=(100,) * num_clients,
            participants_per_round=participants or num_clients,
            weighting=settings.weighting,
            learning_rate=settings.learning_rate,
            min_replies=settings.min_replies,
            coverage=client.coverage,
        )
        return Federation(known, client, way)

    return make


@pytest.fixture
def make_clients() -> Callable[..., ClientUpdates]:
    """Return a maker of a round's updates: one step at rate 1, 100 samples, equal weights, ids 0, 1, …"""

    def make(
        updates: ArrayLike,
        num_steps: ArrayLike | None = None,
        *,
        server_round: int = 1,
        learning_rate: float = 1.0,
        weights: ArrayLike | None = None,
        client_ids: ArrayLike | None = None,
        num_examples: ArrayLike | None = None,
    ) -> ClientUpdates:
        rows = np.asarray(updates, dtype=np.float32)
        ones = np.ones(len(rows))
        return ClientUpdates(
            server_round=server_round,
            updates=rows,
            num_steps=ones if num_steps is None else np.asarray(num_steps, dtype=np.float64),
            num_examples=100 * ones if num_examples is None else np.asarray(num_examples, dtype=np.float64),
            learning_rate=learning_rate,
            weights=ones / len(rows) if weights is None else np.asarray(weights, dtype=np.float64),
            client_ids=np.arange(len(rows)) if client_ids is None else np.asarray(client_ids),
        )

    return make


@dataclass
class Exchange:
    """One round between a strategy and its nodes, every node hosting what it is asked for.

    `model` is the global model before the round, and afterwards what the strategy made of it.
    """

    strategy: RobustStrategy
    model: list[NDArray[Any]] = field(default_factory=state)
    server_round: int = 1
    node_ids: Sequence[int] = (901, 902)

    def __post_init__(self) -> None:
        grid: Any = SimpleNamespace(get_node_ids=lambda: self.node_ids)
        arrays = ArrayRecord(self.model)
        messages = self.strategy.configure_train(self.server_round, arrays, ConfigRecord(), grid)
        self.sent = list(messages)
        for number, message in enumerate(self.sent):
            # As Flower's grids do when they send.
            message.metadata.__dict__["_message_id"] = f"message-{number}"
        self.contents = {self._number(message): RecordDict() for message in self.sent}
        self.errors: dict[str, Error] = {}
        for message in self.sent:
            for client_id in unpack_task(message.content)[1].client_ids:
                self.says(client_id)

    @staticmethod
    def _number(message: Message) -> str:
        return str(message.metadata.message_id)

    def asked(self, message: Message) -> tuple[int, ...]:
        return unpack_task(message.content)[1].client_ids

    def node_of(self, client_id: int) -> str:
        return next(self._number(message) for message in self.sent if client_id in self.asked(message))

    def content_of(self, client_id: int) -> RecordDict:
        return self.contents[self.node_of(client_id)]

    def says(self, client_id: int, arrays: list[NDArray[Any]] | None = None, **metrics: Any) -> None:
        """Have a client reply: by default the global model, trained on 100 samples in 10 steps."""
        usual = ClientReply(client_id, 100, 10, 0.5, 0.1, arrays=self.model)
        values = {name: metrics.get(name, getattr(usual, name)) for name in METRICS}
        content = self.content_of(client_id)
        content[f"model.{client_id}"] = ArrayRecord(usual.arrays if arrays is None else arrays)
        content[f"metrics.{client_id}"] = MetricRecord(values)

    def finish(self) -> list[NDArray[Any]] | None:
        """Deliver the replies, last node first; return the new model, or None if it was kept."""
        replies = [
            Message(self.errors.get(self._number(sent), self.contents[self._number(sent)]), reply_to=sent)
            for sent in reversed(self.sent)
            if self._number(sent) in self.contents
        ]
        arrays, metrics = self.strategy.aggregate_train(self.server_round, replies)
        assert metrics is None
        return None if arrays is None else list(arrays.to_numpy_ndarrays())

    @property
    def replies(self) -> RoundReplies:
        courier = self.strategy.courier
        assert isinstance(courier, HostedClients)
        assert courier.replies is not None
        return courier.replies

    @property
    def rejected(self) -> dict[int, str]:
        return dict(self.replies.rejected)

    @property
    def usable(self) -> list[int]:
        return [reply.client_id for reply in self.replies.usable]


@pytest.fixture
def exchange() -> type[Exchange]:
    return Exchange


@pytest.fixture
def make_state() -> Callable[..., list[NDArray[Any]]]:
    """Return a maker of model states: 5 parameters, the buffer `mean`, the counter `count`."""
    return state
