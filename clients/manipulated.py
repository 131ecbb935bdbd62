"""What a client of anybody's Flower app sends, after an attack's manipulations."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from flwr.app import Array, ArrayRecord
from numpy.typing import NDArray

from fl_backdoor.attacks.knowledge import Knowledge
from fl_backdoor.attacks.updates.applied import manipulated
from fl_backdoor.attacks.updates.base import Manipulation
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.layout import Layout
from fl_backdoor.core.named_arrays import layout_of
from fl_backdoor.core.types import ModelArrays, ParameterVector

ROUND_NAMES = ("server-round", "server_round")
"""Flower's strategies say the round under the first of them."""


@dataclass(frozen=True)
class Turn:
    """Whose turn it is; what a manipulation draws follows from it.

    Parameters
    ----------
    server_round
        Counted from 1.
    rank
        The client's rank among the malicious ones, from 0.
    num_malicious
        How many there are.
    seed
        They have it in common.
    """

    server_round: int = 1
    rank: int = 0
    num_malicious: int = 1
    seed: int = 0


def manipulated_arrays(
    updates: Iterable[Manipulation],
    trained: Sequence[NDArray[np.generic]],
    received: Sequence[NDArray[np.generic]],
    turn: Turn = Turn(),
    *,
    names: Iterable[str] | None = None,
    honest: Callable[[], Sequence[NDArray[np.generic]]] | None = None,
) -> ModelArrays:
    """Return the arrays that are sent instead of the trained ones, as `NumPyClient` has them.

    Parameters
    ----------
    updates
        In this order.
    trained, received
        The local model, and the global one that training began with.
    turn
        Round and client.
    names
        Of the arrays, such as ``model.state_dict()``: what PyTorch calls BatchNorm's buffers is sent as it
        was trained then. None: every array of floating-point numbers is a parameter.
    honest
        Returns the local model that honest training gives; manipulations that mix with it need it.

    Raises
    ------
    ConfigError
        If a manipulation needs what is not given, or there is nothing to train.
    ReplyError
        If the trained arrays have other shapes than the received ones, or hold NaN or Inf.
    """
    held = list(received)
    known = [str(number) for number in range(len(held))] if names is None else list(names)
    if len(known) != len(held):
        raise ConfigError("names", f"{len(known)} names", f"must be {len(held)}, as many as there are arrays")
    layout = layout_of(dict(zip(known, held, strict=True)))
    return _sent(updates, list(trained), _Received(layout, held, turn), honest)


def manipulated_record(
    updates: Iterable[Manipulation],
    trained: ArrayRecord,
    received: ArrayRecord,
    turn: Turn = Turn(),
    *,
    buffers: Collection[str] | None = None,
    honest: Callable[[], ArrayRecord] | None = None,
) -> ArrayRecord:
    """Return the record that is sent instead of the trained one, as an ``@app.train`` function has it.

    As `manipulated_arrays`, but arrays have names; `buffers` are those that are no parameters, None: what
    PyTorch calls BatchNorm's buffers. Raises ConfigError too if the names of the two models differ.
    """
    if strange := trained.keys() ^ received.keys():
        raise ConfigError("arrays", min(strange), "must have the names of the model that was received")

    def listed(record: ArrayRecord) -> ModelArrays:
        return [record[name].numpy() for name in received]

    where = _Received(layout_of(received, buffers), listed(received), turn)
    sent = _sent(updates, listed(trained), where, honest and (lambda: listed(honest())))
    return ArrayRecord(dict(zip(received, map(Array, sent), strict=True)))


def round_of(config: Mapping[str, object]) -> int:
    """Return the round that the server tells its clients.

    Raises
    ------
    ConfigError
        If it tells none.
    """
    for name in ROUND_NAMES:
        if isinstance(found := config.get(name), int):
            return found
    raise ConfigError(ROUND_NAMES[0], None, "the server must tell the round, in the configuration of fit")


def check_alone(updates: Iterable[Manipulation]) -> None:
    """Refuse manipulations that live on what attackers tell each other; raises ConfigError."""
    for update in updates:
        if update.needs_previous_model:
            name = type(update).__name__
            raise ConfigError("updates", name, "needs the model before, which only the bench passes on")


@dataclass(frozen=True)
class _Received:
    layout: Layout
    model: ModelArrays
    turn: Turn


def _sent(
    updates: Iterable[Manipulation],
    trained: ModelArrays,
    received: _Received,
    honest: Callable[[], Sequence[NDArray[np.generic]]] | None,
) -> ModelArrays:
    layout, turn = received.layout, received.turn

    def honest_update() -> ParameterVector:
        if honest is None:
            raise ConfigError("honest", None, "must say what honest training gives, to mix with it")
        return layout.update(_as_received(honest(), received.model), received.model)

    knowledge = Knowledge(
        seed=turn.seed,
        server_round=turn.server_round,
        client_id=turn.rank,
        rank=turn.rank,
        num_malicious=turn.num_malicious,
        layout=layout,
        received=received.model,
        shared={},
        honest=honest_update,
        honest_of_all=lambda: honest_update()[None],
    )
    return manipulated(updates, _as_received(trained, received.model), knowledge)


def _as_received(trained: Sequence[NDArray[np.generic]], received: ModelArrays) -> ModelArrays:
    """Return a local model in the precision of the global one: many a client computes in double."""
    if len(trained) != len(received):
        return list(trained)
    return [
        after.astype(before.dtype) if before.dtype.kind == after.dtype.kind == "f" else after
        for after, before in zip(trained, received, strict=True)
    ]
