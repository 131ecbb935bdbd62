"""Ways to spoil a reply: its arrays, its numbers, its texts, its records, its bytes."""

import io
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects

from fl_backdoor.engine.deployment.inflation import put_together
from fl_backdoor.federation.messages import METRICS, MOST_SHARED

Rng = np.random.Generator
Spoil = Callable[[Rng, RecordDict, int], None]
"""Changes what a node says of one of its clients."""

Option = TypeVar("Option")


def pick(rng: Rng, options: Sequence[Option]) -> Option:
    """Return one of several."""
    return options[int(rng.integers(len(options)))]


def spoil(rng: Rng, content: RecordDict, client_id: int) -> None:
    """Change one to three things of what a node says of one of its clients."""
    for kind in rng.permutation(len(SPOILS))[: int(rng.integers(1, 4))]:
        SPOILS[kind](rng, content, client_id)


def over_the_wire(rng: Rng, reply: Message) -> Message:
    """Return what arrives of a reply that is spoilt on its way between machines, a few bytes at a time."""
    contents = {name: found.deflate() for name, found in get_all_nested_objects(reply).items()}
    for _ in range(int(rng.integers(1, 4))):
        name = pick(rng, list(contents))
        contents[name] = _scrambled(rng, contents[name])
    if rng.random() < 0.1:
        del contents[pick(rng, list(contents))]
    return put_together(reply.object_id, contents)


def _scrambled(rng: Rng, content: bytes) -> bytes:
    """Flip, cut, repeat or put in some bytes."""
    changed = bytearray(content)
    start, end = sorted(int(position) for position in rng.integers(0, len(changed) + 1, 2))
    kind = rng.integers(5)
    if kind == 0:
        del changed[start:]
    elif kind == 1:
        changed[start:start] = changed[start:end]
    elif kind == 2:
        changed[start:start] = rng.bytes(int(rng.integers(1, 40)))
    elif changed:
        for position in rng.integers(0, len(changed), int(rng.integers(1, 9))):
            changed[position] = rng.integers(256)
    return bytes(changed)


TEXTS = (
    *("", "=cmd|' /C calc'!A0", "\x1b[2J\x1b[31m", "\x1b]0;title\x07", "[bold]", "<script>", "\u202e"),
    *("\r\n", "\x00", "\u2028", '","', "true", "0", "nan", "x" * 200_000, "\ud800", "\x85", "%s {0}", "ÄΩ"),
)
"""What nobody wants in a table, in a log file or on a terminal."""


def text(rng: Rng) -> str:
    """Return a few of `TEXTS` behind each other."""
    return "".join(pick(rng, TEXTS) for _ in range(int(rng.integers(1, 5))))


DTYPES = (
    *("?", "b", ">f4", ">i8", "<f2", "<f4", "<f8", "<c8"),
    *("<c16", "<i2", "<i8", "<u8", "U4", "S3", "V7", "M8[s]"),
)
DESCRIPTIONS = (
    *("'<f4'", "'|O'", "'<f4', ", "[('a', '<f4'), ('b', '|O')]", "('<f4', (1000000000,))", "'<U2147483647'"),
    *("'V0'", "'no dtype'", "None", "'<f4' * 10**9", "[" * 60 + "]" * 60, "(" * 800, "{'x': 1}", "b'<f4'"),
)
SHAPES = (
    *("(2, 3)", "()", "(3,)", "(7,)", "(1000000000000,)", "(-1,)", "(2, -3)", "(0, 2)", "(1.5,)", "('a',)"),
    *("(True, 3)", "3", "None", "(9223372036854775807, 9223372036854775807)", "(" + "1, " * 70 + ")"),
)


def _npy(rng: Rng) -> bytes:
    """Return a file of NumPy's with a header that claims anything."""
    order = pick(rng, ("False", "True", "1", "'no'"))
    header = (
        f"{{'descr': {pick(rng, DESCRIPTIONS)}, 'fortran_order': {order}, 'shape': {pick(rng, SHAPES)}, }}"
    )
    header += pick(rng, ("\n", "\n", "  \n", ""))
    version = pick(rng, (1, 1, 1, 2, 3, 9))
    length = len(header) if rng.random() < 0.9 else int(rng.integers(65536))
    size = length.to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + size + header.encode() + rng.bytes(int(rng.integers(40)))


def _of_any_type(rng: Rng) -> bytes:
    """Return a sound file of NumPy's with an array of any type and shape."""
    shape = tuple(int(size) for size in rng.integers(0, 4, int(rng.integers(0, 5))))
    dtype = np.dtype(pick(rng, DTYPES))
    size = int(np.prod(shape)) * dtype.itemsize
    array = np.ndarray(shape, dtype, rng.bytes(size), order="FC"[int(rng.integers(2))])  # type: ignore[call-overload]  # one of two letters
    return _saved(array)


def _saved(array: np.ndarray, *, allow_pickle: bool = False) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=allow_pickle)
    return file.getvalue()


def _archive(rng: Rng) -> bytes:
    file = io.BytesIO()
    save = np.savez_compressed if rng.random() < 0.5 else np.savez
    save(file, a=np.zeros(3, np.float32), b=np.array("text"))
    return file.getvalue()


def _array(rng: Rng, sound: Array) -> Array:
    """Return another array in the place of a sound one."""
    files: tuple[Callable[[], bytes], ...] = (
        lambda: _archive(rng),
        lambda: _npy(rng),
        lambda: _of_any_type(rng),
        lambda: _saved(np.array([{"a": 1}, None], dtype=object), allow_pickle=True),
        lambda: b"\x80\x04N." + rng.bytes(5),
        lambda: _with_values(rng, sound),
        lambda: _scrambled(rng, sound.data),
    )
    stype = "numpy.ndarray" if rng.random() < 0.9 else text(rng)
    dtype, shape = pick(rng, [(sound.dtype, sound.shape), (text(rng), (10**12,))])
    return Array(dtype, shape, stype, pick(rng, files)())


def _with_values(rng: Rng, sound: Array) -> bytes:
    values = (np.nan, np.inf, -np.inf, 1e31, -1e31, 3e38, 1e30, 1e-45, -0.0, 65504, 70000, 2**53, 2**63 - 1)
    array = sound.numpy().copy()
    with np.errstate(all="ignore"):
        array[...] = np.array(pick(rng, values)).astype(array.dtype)
    return _saved(array)


def _spoil_arrays(rng: Rng, content: RecordDict, client_id: int) -> None:
    name = f"model.{client_id}"
    record = content.get(name)
    if not isinstance(record, ArrayRecord):
        return
    arrays = list(record.values())
    index = int(rng.integers(len(arrays) + 1))
    if rng.random() < 0.1:
        arrays.insert(index, Array(np.zeros(3, np.float32)))
    elif index == len(arrays):
        del arrays[-1:]
    else:
        arrays[index] = _array(rng, arrays[index])
    content[name] = ArrayRecord({f"{index}{text(rng)[:5]}": array for index, array in enumerate(arrays)})


NUMBERS: tuple[int | float | list[int] | list[float], ...] = (
    *(0, -1, 1, 2, 3, 20, 21, 2**31, 2**53, 2**63 - 1, -(2**63), 10**30, 10**5000, 0.5, 1.0, 1e308),
    *(float("nan"), float("inf"), float("-inf"), [], [1], [0.5, float("nan")]),
)


def _spoil_metrics(rng: Rng, content: RecordDict, client_id: int) -> None:
    record = content.get(f"metrics.{client_id}")
    if not isinstance(record, MetricRecord):
        return
    name = pick(rng, METRICS)
    if rng.random() < 0.2:
        record.pop(name, None)
    else:
        record[name] = pick(rng, NUMBERS)


def _spoil_texts(rng: Rng, content: RecordDict, client_id: int) -> None:
    values = (text(rng), rng.bytes(20), 10**400, [text(rng)], True, float("nan"), [])
    name = "reason" if rng.random() < 0.8 else text(rng)
    content[f"failure.{client_id}"] = ConfigRecord({name: pick(rng, values)})


def _spoil_shared_state(rng: Rng, content: RecordDict, client_id: int) -> None:
    size = MOST_SHARED + 1 if rng.random() < 0.02 else int(rng.integers(100))
    values = (bytes(size), text(rng), [b"a"], 1)
    content[f"shared_state.{client_id}"] = ConfigRecord({"shared_state": pick(rng, values)})


def _spoil_records(rng: Rng, content: RecordDict, client_id: int) -> None:
    part = pick(rng, ("model", "metrics", "shared_state", "failure"))
    whose = client_id if rng.random() < 0.5 else int(rng.integers(-1, 6))
    records = (ConfigRecord({"a": text(rng)}), MetricRecord({"a": 1}), ArrayRecord())
    if rng.random() < 0.3:
        content.pop(f"{part}.{client_id}", None)
    else:
        content.pop(f"{part}.{whose}", None)
        content[f"{part}.{whose}"] = pick(rng, records)


SPOILS: tuple[Spoil, ...] = (_spoil_arrays, _spoil_metrics, _spoil_texts, _spoil_shared_state, _spoil_records)
