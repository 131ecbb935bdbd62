"""``clients.csv``, also as earlier versions of this program have begun it."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fl_backdoor.core.table import Row
from fl_backdoor.runs.columns import ADDED_CLIENT_COLUMNS, CLIENT_COLUMNS
from fl_backdoor.runs.earlier_table import EarlierTable

_TABLE = EarlierTable(CLIENT_COLUMNS, ADDED_CLIENT_COLUMNS)


def read(path: Path) -> list[Row]:
    """Return all rows; what the table has no column for is unknown. Raises as `table.read`."""
    nothing: Row = dict.fromkeys(CLIENT_COLUMNS)
    return [nothing | row for row in _TABLE.read(path)[1]]


def columns_of(path: Path) -> tuple[str, ...]:
    """Return the columns that a table has: a run goes on with those that it was begun with."""
    return _TABLE.read(path)[0]


def lines(rows: Iterable[Mapping[str, object]], columns: Sequence[str]) -> bytes:
    """Return the clients of a round as lines; raises ValueError like `round_table.line`."""
    return _TABLE.lines(rows, columns)
