"""What all defences share: Flower's Strategy around one function from updates to an aggregation.

A defence is a subclass of `RobustStrategy` that says how the updates of a round become one movement of the
global model. Drawing participants, sending, checking replies and moving the model are done here.
"""

import logging
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy
from numpy.typing import NDArray

from fl_backdoor.config.schema import ClientConfig, ServerConfig
from fl_backdoor.core.errors import ConfigError, NobodyAnswers
from fl_backdoor.core.foreign_text import cleaned
from fl_backdoor.core.layout import Layout
from fl_backdoor.core.types import ClientMask, ClientVector, ModelArrays, ParameterVector, UpdateMatrix
from fl_backdoor.federation.messages import TrainTask
from fl_backdoor.federation.transport.server import Exchange
from fl_backdoor.federation.transport.ways import Way, open_exchange
from strategies.linear import Squares, mean_distances, norms, squared_distances, weighted_sum
from strategies.participants import assign, sizes
from strategies.replies import RoundReplies, collect

log = logging.getLogger("fl_backdoor")

LONGEST_REASON = 160
"""Characters of a reason in the one line that a run stops with."""

VirtualClients = Callable[[ModelArrays, int, int, int], Iterator[ParameterVector]]
"""From a global model, a round, a number of honest clients and one of stages of their training: what each
might have made of the model by the end of each stage, float32 ``(n_params,)``."""


@dataclass(frozen=True)
class Federation:
    """What the server knows of a run.

    Parameters
    ----------
    experiment
        The whole configuration as JSON, as it travels in every train message.
    seed
        The run's seed.
    layout
        The model's tensors, as ``server.buffers`` has them count.
    way
        How models and updates travel.
    partition_sizes
        Number of samples of each client, by client id.
    participants_per_round
        How many clients are asked in a round.
    participants
        From a round, counted from 1, to the client ids that are asked in it, sorted.
    num_rounds
        How many rounds the run is to have.
    client, server
        Settings of local training and of the server.
    max_lost_rounds
        After so many rounds on end in which no node has said anything the run stops.
    virtual_clients
        Clients that the server plays with its own samples; None: it has none.
    """

    experiment: str
    seed: int
    layout: Layout
    way: Way
    partition_sizes: tuple[int, ...]
    participants_per_round: int
    participants: Callable[[int], list[int]]
    num_rounds: int
    client: ClientConfig
    server: ServerConfig
    max_lost_rounds: int = 1
    virtual_clients: VirtualClients | None = None


@dataclass(frozen=True)
class ClientUpdates:
    """What a defence sees of one round: rows are clients, sorted by client id.

    Parameters
    ----------
    server_round
        Counted from 1.
    updates
        Local minus global parameters, float32 ``(n_clients, n_params)``, finite.
    num_steps
        Local steps T, float64 ``(n_clients,)``, at least 1.
    num_examples
        How many samples each says that it has, float64 ``(n_clients,)``, at least 1.
    learning_rate
        The clients' learning rate.
    weights
        Weight of each client in a plain mean, float64 ``(n_clients,)``, sum 1.
    client_ids
        Whose rows they are, int64 ``(n_clients,)``, ascending.
    """

    server_round: int
    updates: UpdateMatrix
    num_steps: ClientVector
    num_examples: ClientVector
    learning_rate: float
    weights: ClientVector
    client_ids: NDArray[np.int64]

    @cached_property
    def norms(self) -> ClientVector:
        """‖Δ_i‖₂, float64 ``(n_clients,)``."""
        return norms(self.updates)

    @cached_property
    def gradient_norms(self) -> ClientVector:
        """‖g_i‖₂ with g_i = Δ_i / (-lr·T_i), the client's average gradient, float64 ``(n_clients,)``."""
        return self.norms / (self.learning_rate * self.num_steps)

    @cached_property
    def squared_distances(self) -> Squares:
        """‖Δ_i - Δ_j‖₂², float64 ``(n_clients, n_clients)``."""
        return squared_distances(self.updates)

    @cached_property
    def mean_distances(self) -> ClientVector:
        """Mean over j≠i of ‖Δ_i - Δ_j‖₂, float64 ``(n_clients,)``."""
        return mean_distances(self.squared_distances)


@dataclass(frozen=True)
class Aggregation:
    """What a defence made of a round.

    Parameters
    ----------
    update
        How far the global parameters are to move (before λ), float32 ``(n_params,)``.
    weights
        Weight of each client in the mean, 0 if it was left out, NaN where the rule has no weights;
        float64 ``(n_clients,)``.
    clip_coefficients
        What each client's update was multiplied by, in (0, 1]; 1 is untouched; float64 ``(n_clients,)``.
    filtered
        Who was left out, bool ``(n_clients,)``.
    flagged
        Whom the defence takes for malicious, bool ``(n_clients,)``; detection is scored on this.
    """

    update: ParameterVector
    weights: ClientVector
    clip_coefficients: ClientVector
    filtered: ClientMask
    flagged: ClientMask


@dataclass(frozen=True)
class RoundOutcome:
    """All that is known of a finished round; `updates` and `aggregation` are None if too few replied."""

    server_round: int
    replies: RoundReplies
    updates: ClientUpdates | None
    aggregation: Aggregation | None


class RobustStrategy(Strategy):
    """A Flower Strategy whose subclasses define `aggregate`. Close it after its last round.

    Buffers, such as BatchNorm's statistics, take a step of their own, `merge_buffers`: a rule judges
    parameters, and a client whose parameters are honest may lie about the others.

    Parameters
    ----------
    federation
        What the server knows of the run.

    Raises
    ------
    ConfigError
        If the rule needs more clients than take part in a round.
    """

    required_clients = 1
    """Fewest replies that the rule is defined for; with fewer the round keeps the model."""

    def __init__(self, federation: Federation) -> None:
        self.federation = federation
        self.layout = federation.layout
        self.outcome: RoundOutcome | None = None
        self.rounds_before = 0
        self.notes = b""  # what malicious clients have told each other, carried along unread
        self._model: ModelArrays = []
        self._sent: dict[int, Message] = {}
        self._drawn: list[int] = []
        self._known = federation
        self._asked: dict[int, tuple[int, ...]] = {}
        self._lost_rounds = 0
        self._require(self.required_clients)

    @abstractmethod
    def aggregate(self, clients: ClientUpdates) -> Aggregation:
        """Turn the updates of a round into one movement of the global model.

        At least `required_clients` rows are given, all of them finite.
        """

    def merge_buffers(self, values: NDArray[np.float64], aggregation: Aggregation) -> NDArray[np.float64]:
        """Turn a buffer of all clients into one of the global model: the median over whom the rule kept.

        It lies in the range of honest values as long as fewer than half of these clients lie. All of them
        count the same. Rules with a guarantee or a way of their own override this.

        Parameters
        ----------
        values
            float64 ``(n_clients, n_values)``.
        aggregation
            What the rule made of their parameters; not everybody is filtered.

        Returns
        -------
        float64 ``(n_values,)``; what is an integer in the model is rounded.
        """
        merged: NDArray[np.float64] = np.median(values[~aggregation.filtered], axis=0)
        return merged

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return what the rule remembers from round to round, by name; the arrays must not change later.

        Nothing here. A rule that remembers anything returns it, and takes it back in `restore`: only then
        does a run that was killed go on as if nothing had happened.
        """
        return {}

    def restore(self, server_round: int, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on after `server_round`, with what `state` returned then."""
        self.rounds_before = server_round

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Ask the nodes that host the round's clients; `config` is not used.

        Flower counts rounds from where this process began.
        """
        server_round += self.rounds_before
        self._model = list(arrays.to_numpy_ndarrays())
        federation = self.federation
        client_ids = federation.participants(server_round)
        self._drawn = client_ids
        self._asked = assign(client_ids, grid)
        self._known = replace(federation, partition_sizes=sizes(federation.partition_sizes, grid))
        rows = {client_id: row for row, client_id in enumerate(client_ids)}
        tasks = {
            node_id: TrainTask(
                federation.experiment,
                server_round,
                asked,
                tuple(rows[client_id] for client_id in asked),
                notes=self.notes,
            )
            for node_id, asked in self._asked.items()
        }
        contents = self._exchange.contents(self._model, arrays, tasks)
        self._sent = {
            node_id: Message(content=content, message_type=MessageType.TRAIN, dst_node_id=node_id)
            for node_id, content in contents.items()
        }
        return list(self._sent.values())

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Check the replies, aggregate them and move the model; None keeps it.

        Raises
        ------
        NobodyAnswers
            If no node has said anything for too many rounds on end. That its clients failed, or that what
            they sent cannot be used, is an answer.
        """
        server_round += self.rounds_before
        asked = {self._sent[node].metadata.message_id: ids for node, ids in self._asked.items()}
        collected = collect(replies, self._drawn, asked, self._known, self._exchange)
        self._stop_if_nobody_answers(server_round, collected)
        clients, aggregation, moved = None, None, None
        needed = max(self.required_clients, self.federation.server.min_replies)
        if len(collected.usable) < needed:
            log.warning(
                "round %d keeps the model: %d usable replies, %d needed",
                server_round,
                len(collected.usable),
                needed,
            )
        else:
            clients = self._client_updates(server_round, collected)
            aggregation = self.aggregate(clients)
            moved = None if aggregation.filtered.all() else self._moved(collected, aggregation)
        self.outcome = RoundOutcome(server_round, collected, clients, aggregation)
        return (None if moved is None else ArrayRecord(moved)), None

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Ask nobody: the full test set is evaluated on the server."""
        return []

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Return nothing, see `configure_evaluate`."""
        return None

    def summary(self) -> None:
        """Log the strategy's name."""
        log.info("strategy %s", type(self).__name__)

    def close(self) -> None:
        """Free the memory of the updates."""
        if "_exchange" in self.__dict__:
            self._exchange.close()
            del self._exchange

    @cached_property
    def _exchange(self) -> Exchange:
        federation = self.federation
        return open_exchange(federation.way, self.layout, federation.participants_per_round)

    def _require(self, required: int) -> None:
        participants = self.federation.participants_per_round
        if participants < required:
            raise ConfigError(
                "clients_per_round",
                participants,
                f"{type(self).__name__} needs at least {required} clients a round",
            )

    def _stop_if_nobody_answers(self, server_round: int, collected: RoundReplies) -> None:
        self._lost_rounds = self._lost_rounds + 1 if collected.nobody_answered else 0
        if self._lost_rounds >= self.federation.max_lost_rounds:
            reason = cleaned(next(iter(collected.rejected.values())), LONGEST_REASON)
            raise NobodyAnswers(f"nobody has answered in round {server_round}: {reason}")

    def _client_updates(self, server_round: int, collected: RoundReplies) -> ClientUpdates:
        updates = self._exchange.gather(collected.rows, somebody_is_late=collected.somebody_is_late)
        examples = np.array([reply.num_examples for reply in collected.usable], dtype=np.float64)
        equal = self.federation.server.weighting == "equal"
        weights = np.ones_like(examples) if equal else examples
        return ClientUpdates(
            server_round=server_round,
            updates=updates,
            num_steps=np.array([reply.num_steps for reply in collected.usable], dtype=np.float64),
            num_examples=examples,
            learning_rate=self.federation.client.learning_rate,
            weights=weights / weights.sum(),
            client_ids=np.array([reply.client_id for reply in collected.usable], dtype=np.int64),
        )

    def _moved(self, collected: RoundReplies, aggregation: Aggregation) -> ModelArrays:
        movement = np.float32(self.federation.server.learning_rate) * aggregation.update
        buffers = self.layout.merged_buffers(
            [reply.buffers for reply in collected.usable],
            lambda values: self.merge_buffers(values, aggregation),
        )
        return self.layout.moved(self._model, movement, buffers)


def require_equal_weighting(federation: Federation, rule: str) -> None:
    """Refuse weights by number of examples, for a rule under which all clients count the same.

    Raises
    ------
    ConfigError
        If clients are to be weighted.
    """
    weighting = federation.server.weighting
    if weighting != "equal":
        raise ConfigError("server.weighting", weighting, f"must be equal under {rule}")


def mean_of(
    clients: ClientUpdates, keep: ClientMask, clip_coefficients: ClientVector | None = None
) -> Aggregation:
    """Return the weighted mean over the clients in `keep`; the others are filtered and flagged.

    With `clip_coefficients` each update is multiplied by its own.
    """
    weights = np.where(keep, clients.weights, 0.0)
    weights /= weights.sum()
    coefficients = np.ones_like(weights) if clip_coefficients is None else clip_coefficients
    return Aggregation(
        update=weighted_sum(weights * coefficients, clients.updates),
        weights=weights,
        clip_coefficients=coefficients,
        filtered=~keep,
        flagged=~keep,
    )


def nothing_of(clients: ClientUpdates) -> Aggregation:
    """Return the aggregation of a round in which everybody is filtered and flagged: the model is kept."""
    everybody = np.ones(len(clients.weights), dtype=np.bool_)
    return Aggregation(
        update=np.zeros(clients.updates.shape[1], dtype=np.float32),
        weights=np.zeros_like(clients.weights),
        clip_coefficients=np.ones_like(clients.weights),
        filtered=everybody,
        flagged=everybody,
    )


def clipped_mean(clients: ClientUpdates, clip_coefficients: ClientVector, flagged: ClientMask) -> Aggregation:
    """Return the weighted mean of the updates, each multiplied by its coefficient."""
    return Aggregation(
        update=weighted_sum(clients.weights * clip_coefficients, clients.updates),
        weights=clients.weights,
        clip_coefficients=clip_coefficients,
        filtered=np.zeros_like(flagged),
        flagged=flagged,
    )
