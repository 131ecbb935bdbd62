"""What a rule is given and what it returns: the server, the updates of a round, a movement of the model."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.layout import Layout
from fl_backdoor.core.types import ClientMask, ClientVector, ModelArrays, ParameterVector, UpdateMatrix
from strategies.numerics.linear import Squares, mean_distances, norms, squared_distances, weighted_sum
from strategies.workbench import Workbench

Weighting = Literal["equal", "num_examples"]
"""What a plain mean weighs clients by: all the same, or by the numbers of examples that they report."""

ProxyClients = Callable[[ModelArrays, int, int, int], Iterator[ParameterVector]]
"""From a global model, a round, a number of honest clients and one of stages of their training: what each
might have made of the model by the end of each stage, float32 ``(n_params,)``."""


Voters = Callable[[ModelArrays], Iterator[ModelArrays]]
"""From a global model to those whose majority decides on each test sample, all in ``state_dict`` order."""


def alone(model: ModelArrays) -> Iterator[ModelArrays]:
    """Yield the model itself: nobody else has a vote."""
    yield model


def everything(num_examples: int) -> float:
    """Return 1: where nothing else is known, a client goes through all its samples in a round."""
    return 1.0


@dataclass(frozen=True)
class ServerContext:
    """What a rule may know of the server that it runs on, before the first round.

    Parameters
    ----------
    layout
        The model's tensors, and which of them count as parameters.
    num_rounds
        How many rounds the run is to have; None: nobody knows.
    last_round
        The number of the last of them, more than `num_rounds` where they are counted on from another run's.
    seed
        The run's seed.
    partition_sizes
        Number of samples of each client, by client id; empty: clients are known once they have answered.
    participants_per_round
        How many clients are asked in a round; None: as many as there are.
    weighting
        What a plain mean weighs clients by.
    learning_rate
        λ: an aggregated update is multiplied by this before it moves the global model.
    min_replies
        With fewer usable replies than this the round keeps the model.
    coverage
        From a client's number of samples to the share of them that it sees in a round, in (0, 1].
    proxy_clients
        Clients that the server plays with its own samples; None: it has none.
    workbench
        Where models can be tried out; None: nobody gave one, or the rule asks for none.
    """

    layout: Layout
    num_rounds: int | None = None
    last_round: int | None = None
    seed: int = 0
    partition_sizes: tuple[int, ...] = ()
    participants_per_round: int | None = None
    weighting: Weighting = "equal"
    learning_rate: float = 1.0
    min_replies: int = 1
    coverage: Callable[[int], float] = everything
    proxy_clients: ProxyClients | None = None
    workbench: Workbench | None = None


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
        The clients' learning rate in this round; NaN: nobody knows, or updates show no gradients (Adam).
    weights
        Weight of each client in a plain mean, float64 ``(n_clients,)``, sum 1.
    client_ids
        Whose rows they are, int64 ``(n_clients,)``, ascending.
    model
        The global model that the clients were sent, in ``state_dict`` order.
    buffers
        Of each client's local model, in the layout's order; empty: rows hold several clients each.
    """

    server_round: int
    updates: UpdateMatrix
    num_steps: ClientVector
    num_examples: ClientVector
    learning_rate: float
    weights: ClientVector
    client_ids: NDArray[np.int64]
    model: ModelArrays = field(default_factory=list)
    buffers: Sequence[ModelArrays] = ()

    @cached_property
    def norms(self) -> ClientVector:
        """‖Δ_i‖₂, float64 ``(n_clients,)``."""
        return norms(self.updates)

    @cached_property
    def gradient_norms(self) -> ClientVector:
        """‖g_i‖₂ with g_i = Δ_i / (-lr·T_i), the client's average gradient, float64 ``(n_clients,)``.

        Raises
        ------
        ValueError
            If nobody knows the learning rate.
        """
        if math.isnan(self.learning_rate):
            raise ValueError(
                "gradient norms need the clients' learning rate: tell the strategy learning_rate"
            )
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
        What each client's update was multiplied by, not negative; 1 is untouched, above 1 it was lengthened,
        as rules do that bring all updates to one length, and 0 comes of a bound that is 0, a median over
        clients most of whom have not moved; float64 ``(n_clients,)``.
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


def local_models(clients: ClientUpdates, layout: Layout) -> Iterator[ModelArrays]:
    """Yield each client's model: the global one, moved by its update. Buffers, on which it may lie, stay."""
    buffers = layout.buffers(clients.model)
    for update in clients.updates:
        yield layout.moved(clients.model, update, buffers)


def require_equal_weighting(server: ServerContext, rule: str) -> None:
    """Refuse weights by number of examples, for a rule under which all clients count the same.

    Raises
    ------
    ConfigError
        If clients are to be weighted.
    """
    if server.weighting != "equal":
        raise ConfigError("server.weighting", server.weighting, f"must be equal under {rule}")


def median_of_kept(values: NDArray[np.float64], aggregation: Aggregation) -> NDArray[np.float64]:
    """Return the median of a buffer's values ``(n_clients, n_values)`` over whom the rule kept."""
    merged: NDArray[np.float64] = np.median(values[~aggregation.filtered], axis=0)
    return merged


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
