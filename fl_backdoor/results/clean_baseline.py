"""Figures of clean models, kept for all later runs: an ASR says little without the one of a clean model.

They lie in ``clean_baselines/`` below the outputs, one file for each set of settings without attackers.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

from fl_backdoor.errors import FlBackdoorError
from fl_backdoor.results import files, table
from fl_backdoor.results.columns import ACCURACY_COLUMNS, ROUND_COLUMNS

log = logging.getLogger("fl_backdoor")

COLUMNS = ("server_round", *ACCURACY_COLUMNS)


@dataclass(frozen=True)
class CleanFigures:
    """A clean model's figures after one round, shares in [0, 1]."""

    main_task_accuracy: float
    attack_success_rate: float
    success_rate: float


def register(folder: Path, key: str, rounds_csv: Path) -> None:
    """Keep the figures of a run without attackers, unless a run of more rounds is kept already.

    Parameters
    ----------
    folder
        The root of the outputs.
    key
        Digest of the settings, in hexadecimal digits.
    rounds_csv
        The run's table.

    Raises
    ------
    FlBackdoorError
        If the table cannot be read or the figures cannot be written.
    """
    rows = table.read(rounds_csv, ROUND_COLUMNS)
    path = _path(folder, key)
    if path.exists() and len(lookup(folder, key) or ()) > len(rows):
        return
    with files.one_line_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    kept = [{name: row[name] for name in COLUMNS} for row in rows]
    files.replace(path, table.header(COLUMNS) + table.lines(kept, COLUMNS))


def lookup(folder: Path, key: str, num_rounds: int = 0) -> dict[int, CleanFigures] | None:
    """Return the figures by round, from round 0 on, or None if there are none that can be used.

    Parameters
    ----------
    folder, key
        As for `register`.
    num_rounds
        Rounds that are needed; figures of fewer are left aside with a warning, as damaged ones are.
    """
    path = _path(folder, key)
    if not path.exists():
        return None
    try:
        figures = _figures(path)
    except FlBackdoorError as error:
        log.warning("clean baseline ignored: %s", error)
        return None
    if len(figures) <= num_rounds:
        log.warning("clean baseline ignored: %s ends before round %d", path, num_rounds)
        return None
    return figures


def _figures(path: Path) -> dict[int, CleanFigures]:
    figures = {}
    for expected, row in enumerate(table.read(path, COLUMNS)):
        shares = [table.number(row[name]) for name in ACCURACY_COLUMNS]
        known = [share for share in shares if share is not None and 0 <= share <= 1]
        if row["server_round"] != expected or len(known) != len(shares):
            raise FlBackdoorError(f"{path} is damaged: round {expected} must have three shares in [0, 1]")
        figures[expected] = CleanFigures(*known)
    return figures


def _path(folder: Path, key: str) -> Path:
    return folder / "clean_baselines" / f"{key}.csv"
