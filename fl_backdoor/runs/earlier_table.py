"""A run's table as earlier versions of this program may have begun it: some of its columns came later."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fl_backdoor.core import table
from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.core.table import Row


@dataclass(frozen=True)
class EarlierTable:
    """A kind of table.

    Parameters
    ----------
    columns
        Those of today, in order.
    added
        Those among them that tables of earlier versions lack.
    """

    columns: tuple[str, ...]
    added: Collection[str]

    def read(self, path: Path) -> tuple[tuple[str, ...], list[Row]]:
        """Return the columns that a table has, and its rows. Raises as `table.read`."""
        found, rows = table.read_any(path)
        if found != tuple(name for name in self.columns if name in found or name not in self.added):
            raise FlBackdoorError(f"{path} is damaged: its first line must be {','.join(self.columns)}")
        return found, rows

    def lines(self, rows: Iterable[Mapping[str, object]], columns: Sequence[str]) -> bytes:
        """Return rows of today's columns as lines of a table that has these `columns`.

        Raises
        ------
        ValueError
            If a row has not just today's columns.
        """
        kept = list(rows)
        whole = table.lines(kept, self.columns)
        if tuple(columns) == self.columns:
            return whole
        return table.lines([{name: row[name] for name in columns} for row in kept], columns)
