"""Whether two runs came to the same bits: their tables, clocks aside, and their models."""

import filecmp
from collections.abc import Sequence

from fl_backdoor.core import table
from fl_backdoor.runs.columns import LATER_FIGURES
from fl_backdoor.runs.run import Run

MODEL = "model.safetensors"

ADDED_FIGURES = (*LATER_FIGURES, "learning_rate")
"""Columns of ``rounds.csv`` that every round has, but for those of earlier versions."""


def apart(a: Run, b: Run) -> list[str]:
    """Return what is not the same in the files of two runs, a phrase each; empty: all bits are the same."""
    found = (
        _tables_apart("rounds.csv", a.rounds, b.rounds),
        _tables_apart("clients.csv", a.clients, b.clients),
        _models_apart(a, b),
    )
    return [phrase for phrase in found if phrase]


def _tables_apart(name: str, a: Sequence[table.Row], b: Sequence[table.Row]) -> str | None:
    if not a or not b:
        return f"{name} is missing or empty"
    compared = [name for name in a[0] if "seconds" not in name and not _is_younger(name, a, b)]
    for one, other in zip(a, b, strict=False):
        columns = [column for column in compared if one[column] != other[column]]
        if columns:
            more = ", …" if len(columns) > 1 else ""
            return f"{name} from round {one['server_round']} on ({columns[0]}{more})"
    return f"{name} in its length" if len(a) != len(b) else None


def _is_younger(column: str, a: Sequence[table.Row], b: Sequence[table.Row]) -> bool:
    """Return whether a table of an earlier version lacks the column: nothing is known of it then."""
    return column in ADDED_FIGURES and any(all(row[column] is None for row in rows) for rows in (a, b))


def _models_apart(a: Run, b: Run) -> str | None:
    one, other = a.folder / MODEL, b.folder / MODEL
    if not one.is_file() or not other.is_file():
        return f"{MODEL} is missing"
    try:
        return None if filecmp.cmp(one, other, shallow=False) else MODEL
    except OSError as error:
        return f"{MODEL} cannot be read: {error.strerror or error}"
