"""``rounds.csv``, also as earlier versions of this program have begun it: some of its columns came later."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from fl_backdoor.core import table
from fl_backdoor.core.foreign_text import cleaned
from fl_backdoor.core.table import Row
from fl_backdoor.runs.columns import ADDED_COLUMNS, ROUND_COLUMNS
from fl_backdoor.runs.earlier_table import EarlierTable

_TABLE = EarlierTable(ROUND_COLUMNS, ADDED_COLUMNS)

NO_LOSS = "the test loss is not finite"
"""Why a model of an earlier version's run has diverged: that is all its table tells."""


def read(path: Path) -> list[Row]:
    """Return all rows; what the table has no column for is unknown. Raises as `table.read`."""
    nothing: Row = dict.fromkeys(ROUND_COLUMNS)
    return [nothing | row | {"diverged": _why(row)} for row in _TABLE.read(path)[1]]


def columns_of(path: Path) -> tuple[str, ...]:
    """Return the columns that a table has: a run goes on with those that it was begun with."""
    return _TABLE.read(path)[0]


def line(row: Mapping[str, object], columns: Sequence[str]) -> bytes:
    """Return a round as a line of a table with these `columns`.

    Raises
    ------
    ValueError
        If `row` has not just the declared columns.
    """
    return _TABLE.lines([row], columns)


def lost(figures: Mapping[str, table.Cell]) -> str | None:
    """Return why a model has diverged, going by its accuracy and its loss alone; None: nothing tells."""
    loss = figures.get("test_loss")
    is_finite = isinstance(loss, int | float) and math.isfinite(loss)
    is_known = table.number(figures.get("main_task_accuracy")) is not None
    return NO_LOSS if is_known and not is_finite else None


def _why(row: Row) -> str | None:
    reason = row["diverged"] if "diverged" in row else lost(row)
    return None if reason is None else cleaned(str(reason))
