"""What all rules share: Flower's FedAvg around one function from the updates of a round to a movement.

A rule is a subclass of `RobustStrategy` that says how the updates of a round become one movement of the
global model. A courier asks clients and checks their replies; the model is moved here.
"""

import logging
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Self, TypedDict, Unpack

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg, Result
from numpy.typing import NDArray

from fl_backdoor.core import plugins
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.named_arrays import layout_of
from fl_backdoor.core.types import ModelArrays, Positive
from strategies.base import (
    Aggregation,
    ClientUpdates,
    ServerContext,
    Voters,
    Weighting,
    alone,
    median_of_kept,
)
from strategies.courier import Courier, Received, TrainRequest
from strategies.flower_courier import FlowerCourier
from strategies.flower_replies import consistent
from strategies.workbench import Needs, Workbench, require

log = logging.getLogger("fl_backdoor")

AggregateMetrics = Callable[[list[RecordDict], str], MetricRecord]
EvaluateCentrally = Callable[[int, ArrayRecord], MetricRecord | None]


class FlowerArguments(TypedDict, total=False):
    """Keyword arguments of Flower's ``FedAvg``, which mean what they mean there."""

    fraction_train: float
    fraction_evaluate: float
    min_train_nodes: int
    min_evaluate_nodes: int
    min_available_nodes: int
    weighted_by_key: str
    arrayrecord_key: str
    configrecord_key: str
    train_metrics_aggr_fn: AggregateMetrics | None
    evaluate_metrics_aggr_fn: AggregateMetrics | None


class StrategyArguments(FlowerArguments, total=False):
    """Keyword arguments that every rule takes beside its own settings, see `RobustStrategy`."""

    courier: Courier | None
    num_steps: float | None
    learning_rate: float | None
    server_learning_rate: float
    weighting: Weighting
    buffers: Collection[str] | None
    seed: int
    workbench: Workbench | None


@dataclass(frozen=True)
class RoundOutcome:
    """All that a rule has seen and made of a finished round.

    Parameters
    ----------
    server_round
        Counted from 1.
    rejected
        Why replies could not be used, by client id.
    updates, aggregation
        None if too few could be used. The matrix of the updates is overwritten in the next round.
    """

    server_round: int
    rejected: Mapping[int, str]
    updates: ClientUpdates | None
    aggregation: Aggregation | None


class RobustStrategy(FedAvg):
    """Flower's FedAvg with another aggregation, which subclasses define as `aggregate`.

    In a Flower app it stands where Flower's ``FedAvg`` stands. Replies that cannot be used (NaN, other
    shapes, an error) cost their client its place in the round; with fewer than `required_clients` the round
    keeps the model. One object is for one run. Its client ids number the nodes in the order in which they
    were first seen.

    Buffers, such as BatchNorm's statistics, take a step of their own, `merge_buffers`: a rule judges
    parameters, and a client whose parameters are honest may lie about the others.

    Parameters
    ----------
    courier
        Who carries messages. None: Flower's own messages, one client a node. With one of another kind the
        settings below have no effect; `prepare` says them.
    num_steps
        How many local steps a client takes in a round, where it does not report ``num-steps`` among its
        metrics. Whoever reports more loses its place, so that nobody can make its update look short.
    learning_rate
        The clients' learning rate, where they do not report ``learning-rate``; else the median of what they
        report counts.
    server_learning_rate
        λ: the aggregated update is multiplied by this before it moves the global model.
    weighting
        ``equal``, since an attacker can lie about its number of examples, or ``num_examples``, by the metric
        under Flower's `weighted_by_key`, as Flower's FedAvg has it.
    buffers
        Names of the arrays that are no parameters. None: PyTorch's names of BatchNorm's buffers
        (``running_mean``, ``running_var``, ``num_batches_tracked``). Arrays of integers never are parameters.
    seed
        Of whatever a rule draws at random.
    workbench
        Where a rule tries models out, if it `needs` one.
    flower
        Flower's own keyword arguments, see `FlowerArguments`.

    Raises
    ------
    ConfigError
        If a setting is not what the signature allows, if the rule judges gradients and nobody says the
        clients' learning rate, or if it lacks what it `needs`.
    """

    required_clients = 1
    """Fewest replies that the rule is defined for; with fewer the round keeps the model."""

    knows_clients = False
    """Whether the rule knows clients by their ids; it cannot follow a step that puts several into one row."""

    judges_gradients = False
    """Whether the rule asks for `ClientUpdates.gradient_norms`, for which somebody must know the rate."""

    needs: Needs = "nothing"
    """What the rule cannot work without, beside updates."""

    server: ServerContext
    """What is known of the server, from `prepare` on."""

    def __new__(cls, *_: object, **arguments: object) -> Self:
        """Check the settings of a rule, and of those that it is derived from, before it is built."""
        for one in cls.__mro__:
            if issubclass(one, RobustStrategy) and "__init__" in vars(one):
                plugins.check_arguments(one.__init__, arguments)
        return super().__new__(cls)

    def __init__(
        self,
        *,
        courier: Courier | None = None,
        num_steps: Positive | None = None,
        learning_rate: Positive | None = None,
        server_learning_rate: Positive = 1.0,
        weighting: Weighting = "equal",
        buffers: Collection[str] | None = None,
        seed: int = 0,
        workbench: Workbench | None = None,
        **flower: Unpack[FlowerArguments],
    ) -> None:
        super().__init__(**flower)
        if courier is None and self.judges_gradients and learning_rate is None:
            allowed = f"{type(self).__name__} judges average gradients: say the clients' learning rate"
            raise ConfigError("learning_rate", learning_rate, allowed)
        if courier is None:
            require(self.needs, workbench, type(self).__name__)
        self.courier = courier or FlowerCourier(
            self, super().configure_train, num_steps, learning_rate, steps_count=self.judges_gradients
        )
        self.num_steps = num_steps
        self.learning_rate = learning_rate
        self.server_learning_rate = server_learning_rate
        self.weighting = weighting
        self.buffers = buffers
        self.seed = seed
        self.workbench = workbench
        self.outcome: RoundOutcome | None = None
        self.rounds_before = 0
        self.model: ModelArrays = []
        self._names: list[str] = []

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
        return median_of_kept(values, aggregation)

    def sent(self, model: ModelArrays) -> ModelArrays:
        """Return what clients are sent in the place of the global model: here, that model.

        Their updates are relative to it, and what they come to moves it. A round that keeps the model keeps
        the one that it began with.

        Parameters
        ----------
        model
            The global model, in ``state_dict`` order; its arrays must not change.
        """
        return model

    def finish(self, model: ModelArrays, clients: ClientUpdates, aggregation: Aggregation) -> ModelArrays:
        """Return what becomes of the model that a round has ended with: here, that model.

        Not called where the round keeps the model.

        Parameters
        ----------
        model
            The global model, moved, in ``state_dict`` order; its arrays must not change.
        clients
            What the round's clients sent, and the model that they were sent.
        aggregation
            What all of the defence made of it.
        """
        return model

    def voters(self) -> Voters:
        """Return from which models' votes the figures of the last round's model follow: here, from its own.

        Whoever evaluates asks for it when a round has ended; an app does in its ``evaluate_fn``. Models are
        made one by one while the next round is under way already: what the strategy learns in it must not
        change them.
        """
        return alone

    def prepare(self, server: ServerContext) -> None:
        """Hear of the server before the first round; `start` says it where nobody else has.

        A rule that draws or makes room for anything overrides this. It may come after `restore`.

        Raises
        ------
        ConfigError
            If the rule cannot work there, such as with so few clients a round.
        """
        require(self.needs, server.workbench, type(self).__name__)
        self.server = server
        self.courier.prepare(server)
        participants = server.participants_per_round
        if participants is not None and participants < self.required_clients:
            raise ConfigError(
                "clients_per_round",
                participants,
                f"{type(self).__name__} needs at least {self.required_clients} clients a round",
            )

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return what is remembered from round to round, by name; the arrays must not change later.

        A rule that remembers anything returns it beside that of ``super()``, and takes it back in `restore`:
        only then does a run that was killed go on as if nothing had happened.
        """
        return self.courier.state()

    def restore(self, server_round: int, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on after `server_round`, with what `state` returned then."""
        self.rounds_before = server_round
        self.courier.restore(state)

    def start(  # noqa: PLR0917 - Flower's
        self,
        grid: Grid,
        initial_arrays: ArrayRecord,
        num_rounds: int = 3,
        timeout: float = 3600,
        train_config: ConfigRecord | None = None,
        evaluate_config: ConfigRecord | None = None,
        evaluate_fn: EvaluateCentrally | None = None,
    ) -> Result:
        """Run `num_rounds` rounds as Flower does, after those before `restore`.

        Flower counts rounds from where this process began; clients are told the round of the whole run.
        """
        if not self._is_prepared:
            self.prepare(self._seen_from(initial_arrays, self.rounds_before + num_rounds))
        return super().start(
            grid, initial_arrays, num_rounds, timeout, train_config, evaluate_config, evaluate_fn
        )

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Have the courier ask clients."""
        if not self._is_prepared:  # inside another strategy, whose `start` runs
            self.prepare(self._seen_from(arrays, None))
        model, self._names = list(arrays.to_numpy_ndarrays()), list(arrays)
        self.model = self.sent(model)
        if self.model is not model:
            arrays = self._record(self.model)
        server_round += self.rounds_before
        return self.courier.ask(TrainRequest(server_round, arrays, self.model, config, grid))

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Aggregate the replies that can be used, and move the model; None keeps it."""
        server_round += self.rounds_before
        received = self.courier.collect(server_round, replies)
        clients, aggregation, moved = None, None, None
        usable, needed = len(received.client_ids), max(self.required_clients, self.server.min_replies)
        if usable < needed:
            log.warning(
                "round %d keeps the model: %d usable replies, %d needed", server_round, usable, needed
            )
        else:
            clients = self._client_updates(server_round, received)
            aggregation = self.aggregate(clients)
            if not aggregation.filtered.all():
                moved = self._record(self.finish(self._moved(received, aggregation), clients, aggregation))
        self.outcome = RoundOutcome(server_round, received.rejected, clients, aggregation)
        return moved, received.metrics

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Ask as Flower does; nobody, where the courier leaves evaluation to the server."""
        if not self.courier.federated_evaluation:
            return []
        return super().configure_evaluate(server_round + self.rounds_before, arrays, config, grid)

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Aggregate as Flower does what can be aggregated."""
        sound = consistent(replies, self.weighted_by_key)
        return super().aggregate_evaluate(server_round + self.rounds_before, sound)

    @property
    def notices(self) -> list[str]:
        """What the user must not miss of how the rule will work, a line each."""
        return []

    def summary(self) -> None:
        """Log the strategy's name, and what Flower logs."""
        log.info("strategy %s", type(self).__name__)
        super().summary()

    def close(self) -> None:
        """Free the memory of the updates; in a Flower app it goes with the strategy."""
        self.courier.close()

    @property
    def _is_prepared(self) -> bool:
        return "server" in vars(self)

    def _seen_from(self, arrays: ArrayRecord, num_rounds: int | None) -> ServerContext:
        """Return what a Flower app knows of itself."""
        return ServerContext(
            layout_of(arrays, self.buffers),
            num_rounds,
            num_rounds,
            self.seed,
            weighting=self.weighting,
            learning_rate=self.server_learning_rate,
            workbench=self.workbench,
        )

    def _client_updates(self, server_round: int, received: Received) -> ClientUpdates:
        equal = self.server.weighting == "equal"
        weights = np.ones_like(received.num_examples) if equal else received.num_examples
        return ClientUpdates(
            server_round=server_round,
            updates=received.updates,
            num_steps=received.num_steps,
            num_examples=received.num_examples,
            learning_rate=received.learning_rate,
            weights=weights / weights.sum(),
            client_ids=received.client_ids,
            model=self.model,
            buffers=received.buffers,
        )

    def _moved(self, received: Received, aggregation: Aggregation) -> ModelArrays:
        layout = self.server.layout
        movement = np.float32(self.server.learning_rate) * aggregation.update
        buffers = layout.merged_buffers(
            received.buffers, lambda values: self.merge_buffers(values, aggregation)
        )
        return layout.moved(self.model, movement, buffers)

    def _record(self, model: ModelArrays) -> ArrayRecord:
        return ArrayRecord(dict(zip(self._names, map(Array, model), strict=True)))
