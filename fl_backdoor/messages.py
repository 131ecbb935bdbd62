"""What server and nodes say to each other, as Flower records.

A train message carries the global model once and names the clients that the receiving node is to train;
the reply carries a part for each of them. A failure inside one client is a part of its own, so that it
costs nobody else anything.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from fl_backdoor.errors import ReplyError
from fl_backdoor.types import ModelArrays

MODEL = "model"
TASK = "task"
NUM_EXAMPLES, NUM_STEPS, TRAIN_LOSS, TRAIN_SECONDS = (
    "num_examples",
    "num_steps",
    "train_loss",
    "train_seconds",
)
NOTES = "notes"
METRICS = (NUM_EXAMPLES, NUM_STEPS, TRAIN_LOSS, TRAIN_SECONDS)


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
    board
        Address of the memory in which model and updates lie; empty: they travel in messages.
    num_rows
        Rows of the matrix there.
    packing
        What updates are sent back as, if model and updates travel in one piece each; empty: they do not.
    notes
        What malicious clients have told each other so far; only they can read it.
    """

    experiment: str
    server_round: int
    client_ids: tuple[int, ...]
    rows: tuple[int, ...]
    board: str = ""
    num_rows: int = 0
    packing: str = ""
    notes: bytes = b""


@dataclass(frozen=True)
class ClientReply:
    """What one client says it did.

    Parameters
    ----------
    client_id
        Partition id of the client.
    arrays
        Its local model, in ``state_dict`` order; its buffers alone where the update went into shared memory.
    num_examples, num_steps
        Samples it trained on and steps it took, as it claims.
    train_loss
        Mean loss over its steps.
    train_seconds
        Time it took.
    notes
        What a malicious client tells the others.
    """

    client_id: int
    arrays: ModelArrays
    num_examples: int
    num_steps: int
    train_loss: float
    train_seconds: float
    notes: bytes = b""


@dataclass(frozen=True)
class ClientFailure:
    """A client that could not be trained, and why."""

    client_id: int
    reason: str


def pack_task(model: ArrayRecord, task: TrainTask) -> RecordDict:
    """Return the content of a train message; `model` is shared, not copied."""
    record = ConfigRecord(
        {
            "experiment": task.experiment,
            "server_round": task.server_round,
            "client_ids": list(task.client_ids),
            "rows": list(task.rows),
            "board": task.board,
            "num_rows": task.num_rows,
            "packing": task.packing,
            NOTES: task.notes,
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
        board=str(record["board"]),
        num_rows=int(record["num_rows"]),  # type: ignore[arg-type]  # we wrote an int
        packing=str(record["packing"]),
        notes=bytes(record[NOTES]),  # type: ignore[arg-type]  # we wrote bytes
    )
    return list(content.array_records[MODEL].to_numpy_ndarrays()), task


def pack_replies(replies: Iterable[ClientReply | ClientFailure]) -> RecordDict:
    """Return the content of a node's reply."""
    content = RecordDict()
    for reply in replies:
        if isinstance(reply, ClientFailure):
            content[f"failure.{reply.client_id}"] = ConfigRecord({"reason": reply.reason})
            continue
        content[f"model.{reply.client_id}"] = ArrayRecord(reply.arrays)
        content[f"metrics.{reply.client_id}"] = MetricRecord({**_metrics(reply)})
        if reply.notes:
            content[f"notes.{reply.client_id}"] = ConfigRecord({NOTES: reply.notes})
    return content


@dataclass(frozen=True)
class _Parts:
    """A node's reply, sorted by kind once: Flower goes through all of its records at each access."""

    configs: Mapping[str, ConfigRecord]
    metrics: Mapping[str, MetricRecord]
    models: Mapping[str, ArrayRecord]


def unpack_replies(content: RecordDict, client_ids: Sequence[int]) -> list[ClientReply | ClientFailure]:
    """Return what a node says about each of the clients it was asked for.

    Parts for other clients are ignored: a node speaks for its own alone.
    """
    parts = _Parts(dict(content.config_records), dict(content.metric_records), dict(content.array_records))
    return [_unpack_reply(parts, client_id) for client_id in client_ids]


def _unpack_reply(parts: _Parts, client_id: int) -> ClientReply | ClientFailure:
    failure = parts.configs.get(f"failure.{client_id}")
    if failure is not None:
        return ClientFailure(client_id, str(failure.get("reason", "no reason given")))
    try:
        metrics = _finite(parts.metrics[f"metrics.{client_id}"])
        arrays = list(parts.models[f"model.{client_id}"].to_numpy_ndarrays())
    except KeyError as error:
        return ClientFailure(client_id, f"the reply lacks {error.args[0]}")
    except Exception as error:  # whatever a hostile reply makes of the decoder
        return ClientFailure(client_id, f"unreadable reply: {error}")
    return ClientReply(
        client_id=client_id,
        arrays=arrays,
        num_examples=int(metrics[NUM_EXAMPLES]),
        num_steps=int(metrics[NUM_STEPS]),
        train_loss=float(metrics[TRAIN_LOSS]),
        train_seconds=float(metrics[TRAIN_SECONDS]),
        notes=_notes(parts.configs.get(f"notes.{client_id}", {})),
    )


def _notes(record: Mapping[str, object]) -> bytes:
    notes = record.get(NOTES, b"")
    return notes if isinstance(notes, bytes) else b""


def check_metrics(reply: ClientReply) -> None:
    """Refuse numbers that the server would refuse; raises ReplyError."""
    _finite(_metrics(reply))


def _metrics(reply: ClientReply) -> dict[str, int | float]:
    return {name: getattr(reply, name) for name in METRICS}


def _finite(record: Mapping[str, Any]) -> dict[str, float]:
    values = {}
    for name in METRICS:
        value = record[name]
        if isinstance(value, list):
            raise ReplyError(f"{name} must be one number")
        # float() refuses what no float64 can hold, integers of any length among it.
        if not math.isfinite(float(value)):
            raise ReplyError(f"{name} = {value} must be finite")
        values[name] = value
    for name in (NUM_EXAMPLES, NUM_STEPS):
        if not isinstance(values[name], int):
            raise ReplyError(f"{name} = {values[name]} must be a whole number")
    return values
