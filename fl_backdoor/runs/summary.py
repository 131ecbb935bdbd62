"""``summary.json``: what a run came to, and all that is needed to read and to repeat it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

from fl_backdoor.core.table import Row, number
from fl_backdoor.metrics.cost import client_seconds
from fl_backdoor.metrics.course import course
from fl_backdoor.metrics.detection import Detection, Tally
from fl_backdoor.metrics.durability import durability
from fl_backdoor.runs import environment
from fl_backdoor.runs.columns import ACCURACY_COLUMNS, LATER_FIGURES

FORMAT = 1
"""Of a run folder: a reader that knows only lower ones refuses it."""

Status = Literal["finished", "diverged", "stopped", "failed"]
"""How a run ended: at its last round, with a model that can be used or that has diverged, or before."""

REACHED_THE_END: tuple[Status, ...] = ("finished", "diverged")

FINAL_FIGURES = (
    "main_task_accuracy",
    "attack_success_rate",
    "success_rate",
    "test_loss",
    "clean_main_task_accuracy",
    "clean_attack_success_rate",
    "clean_success_rate",
    *LATER_FIGURES,
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
    stamped_of_target_class
        Share of the attackers' samples that are of the target class anyway, and about that of those they
        stamp; None: they stamp none.
    gpus
        Names of the GPUs.
    command
        The command line that made the run.
    start
        What its first model is, by the settings' names; None: fresh weights.
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
    stamped_of_target_class: float | None
    gpus: Sequence[str]
    command: str
    start: Mapping[str, Any] | None = None

    @property
    def title(self) -> str:
        """Data set, strategy and α, for the head of a figure."""
        return headline(self.dataset, self.strategy, self.alpha)


def headline(dataset: str, strategy: str, alpha: float | None) -> str:
    """Return data set, strategy and α as a line; None: unknown."""
    return f"{dataset} · {strategy} · α = {'?' if alpha is None else f'{alpha:g}'}"


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
    """Return the content of ``summary.json``; `rounds` and `clients` are the run's tables.

    A run that is said to have finished is said to have diverged if its last round has.
    """
    known = asdict(facts)
    gpus, command = known.pop("gpus"), known.pop("command")
    reason = why_diverged(rounds)
    commit, dirty = checkout()
    return {
        "format": FORMAT,
        "status": "diverged" if status == "finished" and reason else status,
        "diverged": reason,
        **known,
        "malicious_client_ids": sorted(facts.malicious_client_ids),
        "rounds_finished": rounds[-1]["server_round"] if rounds else 0,
        **final_figures(rounds),
        "best": best_figures(rounds),
        **detection_totals(clients, attacks=facts.attacks),
        **asdict(course(rounds, clients)),
        "durability": asdict(lasted) if (lasted := durability(rounds, clients)) else None,
        **asdict(client_seconds(clients)),
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


def why_diverged(rounds: Sequence[Row]) -> str | None:
    """Return why the model of the last round cannot be used; None: it can, as far as is known."""
    reason = rounds[-1]["diverged"] if rounds else None
    return None if reason is None else str(reason)


def final_figures(rounds: Sequence[Row]) -> dict[str, float | None]:
    """Return the figures after the last round; None where unknown, not finite, or of a diverged model."""
    last: Row = rounds[-1] if rounds and not why_diverged(rounds) else {}
    return {name: number(last.get(name)) for name in FINAL_FIGURES}


def best_figures(rounds: Sequence[Row]) -> dict[str, dict[str, object] | None]:
    """Return the highest of each figure and the first round that reached it; None: never known.

    Rounds that have diverged are left out.
    """
    usable = [row for row in rounds if row["diverged"] is None]
    return {name: _highest(usable, name) for name in ACCURACY_COLUMNS}


def detection_totals(clients: Sequence[Row], *, attacks: bool) -> dict[str, float | None]:
    """Return detection over all rounds, over client-rounds and over clients; None: nobody was judged.

    Parameters
    ----------
    clients
        The rows of ``clients.csv``.
    attacks
        Whether the run differs from one without attackers.
    """
    tally = Tally(attacks=attacks)
    tally.add(clients)
    return detection_cells(tally.client_rounds(), "") | detection_cells(tally.clients(), "client_")


def detection_cells(found: Detection | None, prefix: str) -> dict[str, float | None]:
    """Return detection under the names that it has in tables; None: unknown."""
    names = [field.name for field in fields(Detection)]
    return {f"{prefix}{name}": None if found is None else getattr(found, name) for name in names}


def _highest(rounds: Sequence[Row], name: str) -> dict[str, object] | None:
    known = [(figure, row) for row in rounds if (figure := number(row[name])) is not None]
    if not known:
        return None
    figure, row = max(known, key=lambda pair: pair[0])
    return {"value": figure, "server_round": row["server_round"]}
