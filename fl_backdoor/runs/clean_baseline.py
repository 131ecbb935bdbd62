"""The figures of a model that nobody attacked, by round, kept for all runs that share it."""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path

from fl_backdoor.core import files, table
from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.core.table import number
from fl_backdoor.runs import round_table
from fl_backdoor.runs.columns import ACCURACY_COLUMNS

COLUMNS = ("server_round", *ACCURACY_COLUMNS)

log = logging.getLogger("fl_backdoor")


@dataclass(frozen=True)
class CleanFigures:
    """Shares in [0, 1] after one round."""

    main_task_accuracy: float
    attack_success_rate: float
    success_rate: float


def register(folder: Path, key: str, rounds_csv: Path) -> None:
    """Keep the figures of a run without attackers, whose table is `rounds_csv`, under `key`.

    A round that has diverged has none, and neither has a run in which no round moved the model.

    Raises
    ------
    FlBackdoorError
        If the table cannot be read or the copy not be written.
    """
    found = round_table.read(rounds_csv)
    if found[1:] and all(row["model_updated"] is False for row in found[1:]):
        return
    rows = [_kept(row) for row in found]
    with files.one_line_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    files.replace(_file(folder, key), table.header(COLUMNS) + table.lines(rows, COLUMNS))


def lookup(folder: Path, key: str) -> dict[int, CleanFigures] | None:
    """Return the figures by round; None if there are none, or if their file is damaged.

    Rounds that have diverged are left out.
    """
    file = _file(folder, key)
    if not file.exists():
        return None
    try:
        rows = table.read(file, COLUMNS)
        first = rows[0]["server_round"] if rows else 0
        numbered = enumerate(rows, start=first if isinstance(first, int) else 0)
        found = {expected: _figures(row, expected) for expected, row in numbered}
        return {at: figures for at, figures in found.items() if figures is not None}
    except (FlBackdoorError, ValueError) as error:
        log.warning("%s is left aside: %s", file, error)
        return None


def as_columns(figures: CleanFigures) -> dict[str, object]:
    """Return the figures under the names that tables have for them."""
    return {f"clean_{name}": figure for name, figure in asdict(figures).items()}


def _file(folder: Path, key: str) -> Path:
    return folder / f"{key}.csv"


def _kept(row: table.Row) -> table.Row:
    nothing: table.Row = dict.fromkeys(ACCURACY_COLUMNS)
    return {name: row[name] for name in COLUMNS} | (nothing if row["diverged"] is not None else {})


def _figures(row: table.Row, expected_round: int) -> CleanFigures | None:
    found = [number(row[name]) for name in ACCURACY_COLUMNS]
    known = [figure for figure in found if figure is not None]
    if row["server_round"] != expected_round or len(known) not in {0, len(found)}:
        raise ValueError(f"round {expected_round} is missing, or one of its figures")
    return CleanFigures(*known) if known else None
