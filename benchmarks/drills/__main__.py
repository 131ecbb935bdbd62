"""All drills, or those that are named: ``python -m benchmarks.drills fuzz_replies --tries 1000``."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.drills import corruption, kills, network, replies
from benchmarks.drills.outcome import Drills, Options, Outcome
from benchmarks.report import machine

GROUPS: tuple[Drills, ...] = (network, replies, kills, corruption)
MOST_SHOWN = 5
"""Losses of a drill in the table; all of them are in the file."""

NAMES = [name for group in GROUPS for name in group.NAMES]


def main() -> None:
    """Do the drills, print and write what became of each, and end with 1 if anything was lost."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drills", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="name",
        help=f"any of {', '.join(NAMES)}; default: all that can be done here",
    )
    parser.add_argument("--seed", type=int, default=0, help="whatever is drawn at random follows from it")
    parser.add_argument("--tries", type=int, help="how often a drill that can be repeated is")
    parser.add_argument("--out", type=Path, default=Path("outputs/benchmarks/drills.json"))
    asked = parser.parse_args()
    if set(asked.names) - set(NAMES):
        parser.error(f"the drills are {', '.join(NAMES)}")
    console = Console()
    outcomes: list[Outcome] = []
    for group in GROUPS:
        names = [name for name in group.NAMES if name in (asked.names or NAMES)]
        reason = group.why_not() if names else None
        if reason is not None:
            if asked.names:
                sys.exit(reason)
            console.print(f"left out: {', '.join(names)}: {reason}")
        elif names:
            for outcome in group.outcomes(names, Options(asked.seed, asked.tries)):
                outcomes.append(outcome)
                _write(asked.out, outcomes)
                console.print(f"{outcome.drill}: {outcome.came_to}")
    console.print(_table(outcomes))
    sys.exit(any(outcome.lost for outcome in outcomes))


def _write(file: Path, outcomes: Sequence[Outcome]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    plain = {"machine": machine(), "drills": [asdict(outcome) for outcome in outcomes]}
    file.write_text(json.dumps(plain, indent=2), encoding="utf-8")


def _table(outcomes: Sequence[Outcome]) -> Table:
    table = Table("what was done", "what came of it", "lost", "seconds")
    for outcome in outcomes:
        lost = "\n".join(outcome.lost[:MOST_SHOWN]) or "nothing"
        lost += f"\nand {left} more" if (left := len(outcome.lost) - MOST_SHOWN) > 0 else ""
        table.add_row(outcome.drill, outcome.came_to, escape(lost), f"{outcome.seconds:.0f}")
    return table


if __name__ == "__main__":
    main()
