"""Runs from a notebook: ``results = run("strategy=hybrid", "num_rounds=5")`` shows rounds in the cell.

A run is a process of its own, as on the command line, so that the notebook stays free of Ray and PyTorch.
Interrupting the cell interrupts the run, which writes what was done so far.
"""

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from fl_backdoor.core import reading
from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.runs import run_tables
from fl_backdoor.runs.columns import CLIENT_COLUMNS, ROUND_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

END = re.compile(r"(finished|finished already|diverged|diverged already|stopped|failed): (.+)")
"""The line with which a run says where its files are."""

ERROR = "fl_backdoor: "

FORCES_COLOUR = ("FORCE_COLOR", "TTY_COMPATIBLE")
"""Jupyter sets such variables; a bar that redraws itself is no use in a cell."""


@dataclass(frozen=True)
class Results:
    """What a run left behind.

    Parameters
    ----------
    path
        Its folder.
    summary
        What ``summary.json`` holds, empty if it is not there.
    rounds, clients
        ``rounds.csv`` and ``clients.csv``, all digits kept.
    """

    path: Path
    summary: dict[str, Any]
    rounds: "pd.DataFrame"
    clients: "pd.DataFrame"


def run(*overrides: str) -> Results:
    """Run ``python -m fl_backdoor.main`` with `overrides`, such as ``attack.alpha=0.1``, and show its lines.

    Raises
    ------
    FlBackdoorError
        What the run says went wrong, in one line.
    KeyboardInterrupt
        If the cell was interrupted; the run has ended then, and what was done is on disk. A second interrupt
        kills it.
    """
    if {"-m", "--multirun"} & set(overrides):
        raise FlBackdoorError("run() makes one run: call it for each, or use the command line")
    code, lines = _run([sys.executable, "-m", "fl_backdoor.main", *overrides])
    folders = [found[2] for line in lines if (found := END.fullmatch(line))]
    errors = [line.removeprefix(ERROR) for line in lines if line.startswith(ERROR)]
    if code != 0 or not folders:
        raise FlBackdoorError(errors[-1] if errors else f"the run ended with exit code {code} and no word")
    # A clean model that was trained first says so, too.
    return read(folders[-1])


def read(folder: str | Path) -> Results:
    """Read the results of a run that has ended or goes on; raises FlBackdoorError if they are damaged."""
    import pandas as pd

    path = Path(folder).resolve()
    summary = path / "summary.json"
    return Results(
        path,
        cast("dict[str, Any]", reading.json_values(summary)) if summary.exists() else {},
        pd.DataFrame(run_tables.rounds(path / "rounds.csv"), columns=ROUND_COLUMNS),
        pd.DataFrame(run_tables.clients(path / "clients.csv"), columns=CLIENT_COLUMNS),
    )


def _run(program: list[str]) -> tuple[int, list[str]]:
    """Run `program` to its end, and return its exit code and its lines."""
    lines: list[str] = []
    # In a session of its own it gets our interrupt alone, not the one of the notebook as well.
    with subprocess.Popen(
        program,
        env={name: value for name, value in os.environ.items() if name not in FORCES_COLOUR},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            _show(process, lines)
        except KeyboardInterrupt:
            _interrupt(process, lines)
            raise
    return process.returncode, lines


def _show(process: subprocess.Popen[str], lines: list[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        sys.stdout.write(line)
        sys.stdout.flush()
        lines.append(line.rstrip("\n"))


def _interrupt(process: subprocess.Popen[str], lines: list[str]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        _show(process, lines)
        process.wait()
    except KeyboardInterrupt:
        process.kill()
