"""``summary.json``: what a run came to, and all that is needed to read and to repeat it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

from fl_backdoor.results import environment
from fl_backdoor.results.columns import ACCURACY_COLUMNS
from fl_backdoor.results.durability import durability
from fl_backdoor.results.table import Row, number

FORMAT = 1
"""Of a run folder: a reader that knows only lower ones refuses it."""

Status = Literal["finished", "stopped", "failed"]

FINAL_FIGURES = (
    "main_task_accuracy",
    "attack_success_rate",
    "success_rate",
    "test_loss",
    "clean_main_task_accuracy",
    "clean_attack_success_rate",
    "clean_success_rate",
)


@dataclass(frozen=True)
class RunFacts:
    """What the entry point knows of a run.

    Parameters
    ----------
    seed
        The run's seed.
    dataset, strategy
        Their names, as a reader knows them.
    dataset_fallback
        Why another data set took the place of the one that was asked for; None: it did not.
    alpha, num_malicious, boost_factor
        The attack: poison ratio, number of malicious clients, factor on their updates.
    attacks
        Whether the run differs from one without attackers.
    num_rounds
        Rounds that were asked for.
    malicious_client_ids
        Who is malicious.
    gpus
        Names of the GPUs.
    command
        The command line that made the run.
    """

    seed: int
    dataset: str
    dataset_fallback: str | None
    strategy: str
    alpha: float
    num_malicious: int
    boost_factor: float
    attacks: bool
    num_rounds: int
    malicious_client_ids: Sequence[int]
    gpus: Sequence[str]
    command: str

    @property
    def title(self) -> str:
        """Data set, strategy and α, for the head of a figure."""
        return f"{self.dataset} · {self.strategy} · α = {self.alpha:g}"


def summarize(
    status: Status,
    facts: RunFacts,
    *,
    rounds: Sequence[Row],
    clients: Sequence[Row],
    notices: Sequence[str],
    started_at: datetime,
    wall_seconds: float,
) -> dict[str, Any]:
    """Return the content of ``summary.json``; `rounds` and `clients` are the run's tables."""
    told = asdict(facts)
    gpus, command = told.pop("gpus"), told.pop("command")
    commit, dirty = checkout()
    return {
        "format": FORMAT,
        "status": status,
        **told,
        "malicious_client_ids": sorted(facts.malicious_client_ids),
        "rounds_finished": rounds[-1]["server_round"] if rounds else 0,
        **final_figures(rounds),
        "best": best_figures(rounds),
        **detection_totals(rounds, clients),
        "durability": asdict(lasted) if (lasted := durability(rounds, clients)) else None,
        "notices": list(notices),
        "versions": environment.versions(),
        "hardware": environment.hardware(gpus),
        "git_commit": commit,
        "git_dirty": dirty,
        "started_at": started_at.isoformat(timespec="seconds"),
        "wall_seconds": wall_seconds,
        "command": command,
    }


@cache  # asking takes a while, and what was imported does not change any more
def checkout() -> tuple[str | None, bool | None]:
    """Return the commit that this program was checked out from, and whether anything differs from it."""
    return environment.git_state(Path(__file__).parent)


def final_figures(rounds: Sequence[Row]) -> dict[str, float | None]:
    """Return the figures after the last round; None where unknown or not finite."""
    last: Row = rounds[-1] if rounds else {}
    return {name: number(last.get(name)) for name in FINAL_FIGURES}


def best_figures(rounds: Sequence[Row]) -> dict[str, dict[str, object] | None]:
    """Return the highest of each figure and the first round that reached it; None: never known."""
    return {name: _highest(rounds, name) for name in ACCURACY_COLUMNS}


def detection_totals(rounds: Sequence[Row], clients: Sequence[Row]) -> dict[str, float | None]:
    """Sum detection up over all rounds in which it was scored.

    As in a single round, the clients whose replies were usable are judged, and those that really attacked in
    the round are the positives. A rate is None where there was nobody to be right or wrong about.
    """
    scored = {row["server_round"]: row for row in rounds if row["true_positives"] is not None}
    judged = [row for row in clients if row["server_round"] in scored and row["rejected"] is None]
    num_attacking = sum(row["attacking"] is True for row in judged)
    hits = _total(list(scored.values()), "true_positives")
    false_alarms = _total(list(scored.values()), "false_positives")
    return {
        "true_positives": hits,
        "false_positives": false_alarms,
        "true_positive_rate": _rate(hits, num_attacking),
        "false_positive_rate": _rate(false_alarms, len(judged) - num_attacking),
    }


def _highest(rounds: Sequence[Row], name: str) -> dict[str, object] | None:
    known = [(figure, row) for row in rounds if (figure := number(row[name])) is not None]
    if not known:
        return None
    figure, row = max(known, key=lambda pair: pair[0])
    return {"value": figure, "server_round": row["server_round"]}


def _total(rows: Sequence[Row], name: str) -> int | None:
    found = [int(figure) for row in rows if (figure := number(row[name])) is not None]
    return sum(found) if found else None


def _rate(count: int | None, total: int) -> float | None:
    return count / total if count is not None and total else None
