"""Who carries messages between a rule and its clients: a rule is the same object, whoever does."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from numpy.typing import NDArray

from fl_backdoor.core.types import ClientVector, ModelArrays, UpdateMatrix
from strategies.base import ServerContext


@dataclass(frozen=True)
class TrainRequest:
    """What clients are to be asked in a round.

    Parameters
    ----------
    server_round
        Counted from 1, over all processes of a run.
    arrays
        The global model, as Flower has it.
    model
        The same in NumPy, in order.
    config
        What the user of `Strategy.start` tells clients.
    grid
        Leads to the nodes.
    """

    server_round: int
    arrays: ArrayRecord
    model: ModelArrays
    config: ConfigRecord
    grid: Grid


@dataclass(frozen=True)
class Received:
    """What came of a round; rows are the clients whose replies can be used, by client id.

    Parameters
    ----------
    client_ids
        Whose rows they are, int64 ``(n_clients,)``, ascending.
    updates
        Local minus global parameters, float32 ``(n_clients, n_params)``, finite; valid until the next round.
    buffers
        Of each client's local model, in order.
    num_steps, num_examples
        As they claim, float64 ``(n_clients,)``, at least 1.
    learning_rate
        The clients' learning rate; NaN: nobody knows.
    rejected
        Why the replies of others cannot be used, by client id.
    metrics
        What Flower is to log of the clients' metrics.
    """

    client_ids: NDArray[np.int64]
    updates: UpdateMatrix
    buffers: Sequence[ModelArrays]
    num_steps: ClientVector
    num_examples: ClientVector
    learning_rate: float
    rejected: Mapping[int, str] = field(default_factory=dict)
    metrics: MetricRecord | None = None


class Courier(ABC):
    """Asks clients to train, and turns their replies into rows."""

    federated_evaluation = True
    """Whether clients are asked to evaluate the model, as Flower's FedAvg has it."""

    @abstractmethod
    def prepare(self, server: ServerContext) -> None:
        """Hear what the rule hears before the first round."""

    @abstractmethod
    def ask(self, request: TrainRequest) -> Iterable[Message]:
        """Return the round's train messages."""

    @abstractmethod
    def collect(self, server_round: int, replies: Iterable[Message]) -> Received:
        """Check the replies: one that cannot be used costs its client its place, and nobody else anything."""

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return what the courier remembers from round to round, by name; nothing here."""
        return {}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:  # noqa: B027 - nothing to take back
        """Go on with what `state` returned; there may be other arrays as well."""

    @abstractmethod
    def close(self) -> None:
        """Free the memory of the updates."""
