"""What server and nodes say to each other, as Flower records.

A train message carries the global model once and names the clients that the receiving node is to train;
the reply carries a part for each of them. A failure inside one client is a part of its own, so that it
costs nobody else anything.
"""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from fl_backdoor.core.errors import ReplyError
from fl_backdoor.core.foreign_text import cleaned
from fl_backdoor.core.layout import TensorSpec
from fl_backdoor.core.npy import decoded
from fl_backdoor.core.report_names import (
    CPU_SECONDS,
    NUM_EXAMPLES,
    NUM_STEPS,
    SHARED_STATE,
    TRAIN_LOSS,
    TRAIN_SECONDS,
)
from fl_backdoor.core.types import ModelArrays

log = logging.getLogger("fl_backdoor")

MODEL = "model"
TASK = "task"
COUNTS = (NUM_EXAMPLES, NUM_STEPS)
METRICS = (*COUNTS, TRAIN_LOSS, TRAIN_SECONDS, CPU_SECONDS)

MOST_SHARED = 16 << 20
"""Bytes that a client may tell the others in a round: they travel with every train message of the next."""


@dataclass(frozen=True)
class TrainTask:
    """What a node is asked to do.

    Parameters
    ----------
    experiment
        The whole configuration as JSON.
    server_round
        Counted from 1.
    client_ids
        The clients to train.
    rows
        The row of each of them in the round's update matrix.
    shared_round
        Address of the memory in which model and updates lie; empty: they travel in messages.
    num_rows
        Rows of the matrix there.
    packing
        What updates are sent back as, if model and updates travel in one piece each; empty: they do not.
    shared_state
        What malicious clients have told each other so far; only they can read it.
    """

    experiment: str
    server_round: int
    client_ids: tuple[int, ...]
    rows: tuple[int, ...]
    shared_round: str = ""
    num_rows: int = 0
    packing: str = ""
    shared_state: bytes = b""


@dataclass(frozen=True)
class Claims:
    """What one client says it did, beside its model.

    Parameters
    ----------
    client_id
        Partition id of the client.
    num_examples, num_steps
        Samples it trained on and steps it took.
    train_loss
        Mean loss over its steps.
    train_seconds
        Time it took.
    cpu_seconds
        Processor time of the worker meanwhile, all its threads together.
    shared_state
        What a malicious client tells the others; no business of a rule, which never sees it.
    """

    client_id: int
    num_examples: int
    num_steps: int
    train_loss: float
    train_seconds: float
    cpu_seconds: float = 0.0
    shared_state: bytes = b""


@dataclass(frozen=True)
class ClientReply(Claims):
    """What one client sends.

    Parameters
    ----------
    arrays
        Its local model, in ``state_dict`` order; its buffers alone where the update went into shared memory.
    """

    arrays: ModelArrays = field(default_factory=list)


@dataclass(frozen=True)
class ClientFailure:
    """A client that could not be trained or whose reply cannot be used, and why.

    The reason may come from another machine, or quote what came from there: it is cut and cleaned here,
    before anything is made of it. A single word says nothing, and a table would take ``0`` or ``false`` for
    what they are.
    """

    client_id: int
    reason: str

    def __post_init__(self) -> None:
        reason = cleaned(self.reason)
        object.__setattr__(self, "reason", reason if " " in reason else cleaned(f"no reason given {reason}"))


def pack_task(model: ArrayRecord, task: TrainTask) -> RecordDict:
    """Return the content of a train message; `model` is shared, not copied."""
    record = ConfigRecord(
        {
            "experiment": task.experiment,
            "server_round": task.server_round,
            "client_ids": list(task.client_ids),
            "rows": list(task.rows),
            "shared_round": task.shared_round,
            "num_rows": task.num_rows,
            "packing": task.packing,
            SHARED_STATE: task.shared_state,
        }
    )
    return RecordDict({MODEL: model, TASK: record})


def unpack_task(content: RecordDict) -> tuple[ModelArrays, TrainTask]:
    """Return the global model and the task of a train message."""
    record = content.config_records[TASK]
    task = TrainTask(
        experiment=str(record["experiment"]),
        server_round=int(record["server_round"]),  # type: ignore[arg-type]  # we wrote an int
        client_ids=tuple(record["client_ids"]),  # type: ignore[arg-type]  # and a list of int
        rows=tuple(record["rows"]),  # type: ignore[arg-type]  # and another
        shared_round=str(record["shared_round"]),
        num_rows=int(record["num_rows"]),  # type: ignore[arg-type]  # we wrote an int
        packing=str(record["packing"]),
        shared_state=bytes(record[SHARED_STATE]),  # type: ignore[arg-type]  # we wrote bytes
    )
    return list(content.array_records[MODEL].to_numpy_ndarrays()), task


def pack_replies(replies: Iterable[ClientReply | ClientFailure]) -> RecordDict:
    """Return the content of a node's reply; what cannot be sent is a failure of that client alone."""
    content = RecordDict()
    for reply in replies:
        for name, record in _packed(reply).items():
            content[f"{name}.{reply.client_id}"] = record
    return content


def _packed(reply: ClientReply | ClientFailure) -> dict[str, ArrayRecord | MetricRecord | ConfigRecord]:
    if isinstance(reply, ClientFailure):
        return {"failure": ConfigRecord({"reason": reply.reason})}
    try:
        shared = (
            {SHARED_STATE: ConfigRecord({SHARED_STATE: reply.shared_state})} if reply.shared_state else {}
        )
        return {MODEL: ArrayRecord(reply.arrays), "metrics": MetricRecord({**_metrics(reply)}), **shared}
    except Exception as error:  # whatever Flower and NumPy make of what a plug-in returned
        log.exception("the reply of client %d cannot be sent", reply.client_id)
        return _packed(failure(reply.client_id, error))


def failure(client_id: int, error: Exception) -> ClientFailure:
    """Return what is said of a client to whom an unexpected error has happened."""
    return ClientFailure(client_id, f"{type(error).__name__}: {error}")


class NodeReply:
    """A node's reply, sorted by kind once: Flower goes through all of its records at each access.

    Parameters
    ----------
    content
        As it came.
    """

    def __init__(self, content: RecordDict) -> None:
        self.configs = dict(content.config_records)
        self.metrics = dict(content.metric_records)
        self.models = dict(content.array_records)

    def of(self, client_id: int, carried: Sequence[TensorSpec]) -> ClientReply | ClientFailure:
        """Return what the node says about one of its clients.

        Parameters
        ----------
        client_id
            One that it was asked for. Parts for other clients are never looked at: a node speaks for its
            own alone.
        carried
            What the arrays of the reply are to be.

        Raises
        ------
        ReplyError
            If a part is missing, or is not what it is to be.
        Exception
            Whatever a hostile reply makes of the decoder.
        """
        failed = self.configs.get(f"failure.{client_id}")
        if failed is not None:
            return ClientFailure(client_id, str(failed.get("reason", "no reason given")))
        metrics = _finite(_part(self.metrics, f"metrics.{client_id}"))
        arrays = decoded(list(_part(self.models, f"model.{client_id}").values()), carried)
        return ClientReply(
            client_id=client_id,
            arrays=arrays,
            num_examples=int(metrics[NUM_EXAMPLES]),
            num_steps=int(metrics[NUM_STEPS]),
            train_loss=float(metrics[TRAIN_LOSS]),
            train_seconds=float(metrics[TRAIN_SECONDS]),
            cpu_seconds=float(metrics[CPU_SECONDS]),
            shared_state=_shared_state(self.configs.get(f"{SHARED_STATE}.{client_id}", {})),
        )


def _part(parts: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - a record, or a value in one
    if name not in parts:
        raise ReplyError(f"the reply lacks {name}")
    return parts[name]


def _shared_state(record: Mapping[str, object]) -> bytes:
    shared_state = record.get(SHARED_STATE, b"")
    return _bounded(shared_state) if isinstance(shared_state, bytes) else b""


def _bounded(shared_state: bytes) -> bytes:
    if len(shared_state) > MOST_SHARED:
        raise ReplyError(f"shared state of {len(shared_state)} bytes, at most {MOST_SHARED} are passed on")
    return shared_state


def check_claims(claims: Claims) -> None:
    """Refuse numbers and shared state that the server would refuse; raises ReplyError."""
    _finite(_metrics(claims))
    _bounded(claims.shared_state)


def _metrics(claims: Claims) -> dict[str, int | float]:
    return {name: getattr(claims, name) for name in METRICS}


def _finite(record: Mapping[str, Any]) -> dict[str, float]:
    return {name: _number(name, _part(record, name)) for name in METRICS}


def _number(name: str, value: object) -> int | float:
    """Return one claim, a whole number where it counts something; raises ReplyError."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ReplyError(f"{name} must be one number")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ReplyError(f"{name} must be a number of at most 64 bits")
    if not math.isfinite(value):
        raise ReplyError(f"{name} = {value} must be finite")
    if name in COUNTS and not isinstance(value, int):
        raise ReplyError(f"{name} = {value} must be a whole number")
    return value
