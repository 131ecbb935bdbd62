"""What strangers' replies are checked for before anything is made of them.

Metrics have a mean only if they have the same names and shapes; Flower's own FedAvg stops a run otherwise.
"""

import logging
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from flwr.app import Array, Message, RecordDict

from fl_backdoor.core.errors import ReplyError
from fl_backdoor.core.foreign_text import cleaned
from fl_backdoor.core.layout import Layout, TensorSpec
from fl_backdoor.core.named_arrays import is_floating
from fl_backdoor.core.npy import decoded
from fl_backdoor.core.types import ModelArrays

log = logging.getLogger("fl_backdoor")


def consistent(replies: Iterable[Message], weighted_by_key: str) -> list[Message]:
    """Return the messages whose metrics can be aggregated, and those with errors, which Flower logs."""
    failed, sound = [], {}
    for message in replies:
        if message.has_error():
            failed.append(message)
            continue
        try:
            numbers(message.content, weighted_by_key)
            sound[id(message.content)] = message
        except Exception as error:  # of metrics that strangers sent
            node_id = message.metadata.src_node_id
            log.warning("the metrics of node %d cannot be used: %s", node_id, cleaned(str(error)))
    contents = alike([message.content for message in sound.values()])
    return failed + [sound[id(content)] for content in contents]


def local_model(content: RecordDict, layout: Layout) -> ModelArrays:
    """Return the arrays of a reply in the order of `layout`; they may have come in another floating type.

    Raises
    ------
    ReplyError
        If there is not exactly one record of arrays, or if one of these is missing, too many, or not what it
        is to be.
    Exception
        Whatever a hostile reply makes of the decoder.
    """
    record, tensors = _the_only(content.array_records, "ArrayRecord"), layout.tensors
    if strange := record.keys() ^ {tensor.name for tensor in tensors}:
        name = min(strange)
        raise ReplyError(f"{name} is {'not asked for' if name in record else 'missing'}")
    carried = [record[tensor.name] for tensor in tensors]
    arrived = decoded(carried, [_as_sent(t, array) for t, array in zip(tensors, carried, strict=True)])
    with np.errstate(over="ignore"):  # what is infinite afterwards is refused
        return [array.astype(t.dtype, copy=False) for t, array in zip(tensors, arrived, strict=True)]


def numbers(content: RecordDict, weighted_by_key: str) -> dict[str, Any]:
    """Return the metrics of a reply.

    Raises
    ------
    ReplyError
        If there is not exactly one record of them, if the weight is missing or not positive, or if anything
        in it is not finite.
    """
    metrics = dict(_the_only(content.metric_records, "MetricRecord"))
    if weighted_by_key not in metrics:
        raise ReplyError(f"the reply lacks {weighted_by_key}")
    positive(weighted_by_key, metrics[weighted_by_key])
    for name, value in metrics.items():
        if not all(map(math.isfinite, value if isinstance(value, list) else [value])):
            raise ReplyError(f"{name} must be finite")
    return metrics


def alike(contents: list[RecordDict]) -> list[RecordDict]:
    """Return those contents whose metrics have the names and shapes that most have: only they have a mean."""

    def form(content: RecordDict) -> tuple[tuple[str, int], ...]:
        [metrics] = content.metric_records.values()
        return tuple(sorted((n, len(v) if isinstance(v, list) else -1) for n, v in metrics.items()))

    forms = [form(content) for content in contents]
    most = Counter(forms).most_common(1)[0][0] if forms else ()
    return [content for content, its in zip(contents, forms, strict=True) if its == most]


def _the_only(records: Mapping[str, Any], kind: str) -> Any:  # noqa: ANN401 - a record of that kind
    if len(records) != 1:
        raise ReplyError(f"the reply has {len(records)} of {kind}, not one")
    [record] = records.values()
    return record


def positive(name: str, value: object, least: float = 0, most: float = math.inf) -> float:
    """Return a number over 0, from `least` to `most`; raises ReplyError."""
    if not isinstance(value, int | float) or not (least <= value <= most and 0 < value < math.inf):
        bounds = f"from {least:g} to {most:g}" if least else "over 0"
        raise ReplyError(f"{name} = {value} must be one number {bounds}")
    return float(value)


def _as_sent(tensor: TensorSpec, array: Array) -> TensorSpec:
    """Return what an array is to be: many a client computes in double precision."""
    both = is_floating(array.dtype) and is_floating(tensor.dtype)
    return replace(tensor, dtype=str(array.dtype)) if both else tensor
