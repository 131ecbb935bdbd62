"""Whether two runs came to the same bits: their tables, clocks aside, and their models."""

import filecmp
from collections.abc import Sequence

from fl_backdoor.core import table
from fl_backdoor.runs.run import Run

MODEL = "model.safetensors"


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
    for one, other in zip(a, b, strict=False):
        columns = [column for column in one if "seconds" not in column and one[column] != other[column]]
        if columns:
            more = ", …" if len(columns) > 1 else ""
            return f"{name} from round {one['server_round']} on ({columns[0]}{more})"
    return f"{name} in its length" if len(a) != len(b) else None


def _models_apart(a: Run, b: Run) -> str | None:
    one, other = a.folder / MODEL, b.folder / MODEL
    if not one.is_file() or not other.is_file():
        return f"{MODEL} is missing"
    try:
        return None if filecmp.cmp(one, other, shallow=False) else MODEL
    except OSError as error:
        return f"{MODEL} cannot be read: {error.strerror or error}"
