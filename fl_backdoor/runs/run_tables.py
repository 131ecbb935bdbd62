"""The two tables of a run, as anybody may have written them: rows that readers can rely on."""

from pathlib import Path

from fl_backdoor.core import reading, table
from fl_backdoor.core.table import Row
from fl_backdoor.runs import client_table, round_table
from fl_backdoor.runs.columns import ACCURACY_COLUMNS


def rounds(path: Path) -> list[Row]:
    """Read ``rounds.csv``: rounds ascend, shares lie in [0, 1] or are empty.

    Raises
    ------
    FlBackdoorError
        If it cannot be read, or a row cannot be one.
    """
    rows = round_table.read(path)
    last = -1
    for row in rows:
        last = _whole(path, row, "server_round", at_least=last + 1)
        for name in ACCURACY_COLUMNS:
            share = table.number(row[name])
            if row[name] is not None and (share is None or not 0 <= share <= 1):
                raise reading.damaged(path, f"{name} of round {last} is {row[name]}, no share in [0, 1]")
    return rows


def clients(path: Path) -> list[Row]:
    """Read ``clients.csv``: every row names its round, from 1, and its client; raises like `rounds`."""
    rows = client_table.read(path)
    for row in rows:
        _whole(path, row, "server_round", at_least=1)
        _whole(path, row, "client_id", at_least=0)
    return rows


def _whole(path: Path, row: Row, name: str, *, at_least: int) -> int:
    found = row[name]
    if isinstance(found, bool) or not isinstance(found, int) or not at_least <= found < 2**63:
        raise reading.damaged(path, f"{name} is {found}, where a whole number from {at_least} must be")
    return found
