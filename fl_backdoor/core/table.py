"""CSV that gives back what was put in: exact floats, ``true`` and ``false``, empty for unknown."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from fl_backdoor.core import reading
from fl_backdoor.core.errors import FlBackdoorError

Cell = bool | int | float | str | None
Row = dict[str, Cell]


def header(columns: Sequence[str]) -> bytes:
    """Return the first line of a table."""
    return _line(columns)


def lines(rows: Iterable[Mapping[str, object]], columns: Sequence[str]) -> bytes:
    """Return `rows` as CSV lines, cells in the order of `columns`.

    Raises
    ------
    ValueError
        If a row lacks one of `columns` or has another one.
    """
    return b"".join(_line([cell(row[name]) for name in columns]) for row in _checked(rows, columns))


def cell(value: object) -> str:
    """Write one value: None and NaN are empty, floats have all their digits, text is one line.

    Raises
    ------
    ValueError
        If `value` is something else than a number, a truth value, text or None.
    """
    if value is None:
        return ""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, float | np.floating):
        return "" if math.isnan(value) else repr(float(value))
    if isinstance(value, str):
        return " ".join(value.split())
    raise ValueError(f"a table holds numbers, truth values and text, not {type(value).__name__}")


def value(text: str) -> Cell:
    """Read what `cell` wrote."""
    if text in {"", "true", "false"}:
        return {"": None, "true": True, "false": False}[text]
    # More digits than fit a float are infinitely many for whoever computes with them.
    for kind in (int, float) if len(text) <= reading.MOST_DIGITS else (float,):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def read(path: Path, columns: Sequence[str]) -> list[Row]:
    """Read a table; a last line that was cut off in the middle of writing is left out.

    Raises
    ------
    FlBackdoorError
        If there is no such file, or it does not hold just these columns.
    """
    found, rows = read_any(path)
    if found != tuple(columns):
        raise FlBackdoorError(f"{path} is damaged: its first line must be {','.join(columns)}")
    return rows


def read_any(path: Path) -> tuple[tuple[str, ...], list[Row]]:
    """Read a table of any columns and return them and the rows; raises like `read`."""
    try:
        # Cut before it is decoded: a line may end in the middle of a character.
        finished = reading.content(path, reading.LARGEST_TABLE).rpartition(b"\n")[0].decode()
    except UnicodeDecodeError as error:
        raise FlBackdoorError(f"{path} cannot be read: {error}") from error
    # Older versions wrote reasons of any length.
    csv.field_size_limit(max(csv.field_size_limit(), len(finished)))
    try:
        columns, *lines = list(csv.reader(finished.splitlines())) or [[]]
    except csv.Error as error:
        raise FlBackdoorError(f"{path} is damaged: {error}") from error
    for number, cells in enumerate(lines, start=2):
        if len(cells) != len(columns):
            raise FlBackdoorError(f"{path} is damaged: line {number} must have {len(columns)} cells")
    return tuple(columns), [dict(zip(columns, map(value, cells), strict=True)) for cells in lines]


def number(found: object) -> float | None:
    """Return `found` if it is a finite number, else None."""
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        return None
    return found


def order(row: Mapping[str, Cell], columns: Sequence[str]) -> list[tuple[int, float, str]]:
    """Return a key that sorts numbers by size and before text, and nothing before both."""
    return [_rank(row.get(name)) for name in columns]


def _rank(found: Cell) -> tuple[int, float, str]:
    if found is None:
        return 0, 0.0, ""
    if isinstance(found, int | float):
        return 1, float(found), ""
    return 2, 0.0, found


def _checked(rows: Iterable[Mapping[str, object]], columns: Sequence[str]) -> Iterable[Mapping[str, object]]:
    for row in rows:
        missing, unknown = set(columns) - set(row), set(row) - set(columns)
        if missing or unknown:
            raise ValueError(f"row lacks {sorted(missing)} and has unknown {sorted(unknown)}")
        yield row


def _line(cells: Sequence[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    # A name of a file may hold half a character.
    return text.getvalue().encode("utf-8", "replace")
