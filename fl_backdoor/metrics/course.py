"""How a backdoor went over a run: how far it opened, how soon, and what it came to while it was attacked.

How long it stays open afterwards is in `metrics.durability`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from fl_backdoor.core.table import Row, number
from fl_backdoor.metrics.durability import OPEN, attacked_rounds

LAST = 30
"""Rounds in which somebody attacked, over whose last ones ASR is averaged."""


@dataclass(frozen=True)
class Course:
    """Figures of a whole run, from rounds whose model can be used; shares in [0, 1].

    Parameters
    ----------
    peak_attack_success_rate
        The highest ASR after the first attack, that round included.
    late_attack_success_rate
        Mean ASR over the last `LAST` rounds in which somebody attacked, or over all if they are fewer.
    rounds_to_open
        How many rounds it took, from the first attack on, until ASR was above `OPEN`: 1 if it was after the
        first attack. None: never.
    """

    peak_attack_success_rate: float | None = None
    late_attack_success_rate: float | None = None
    rounds_to_open: int | None = None


def course(rounds: Sequence[Row], clients: Sequence[Row]) -> Course:
    """Return how the backdoor went; `rounds` and `clients` are the run's tables.

    An attack counts where the reply of an attacking client was used. Where nobody attacked, or no round from
    then on has a model that can be used, all is None.
    """
    attacked = attacked_rounds(clients)
    first = min(attacked, default=None)
    known = {
        int(str(row["server_round"])): figure
        for row in rounds
        if row["diverged"] is None and (figure := number(row["attack_success_rate"])) is not None
    }
    since = {at: figure for at, figure in known.items() if first is not None and at >= first}
    if first is None or not since:
        return Course()
    late = [since[at] for at in sorted(attacked & since.keys())[-LAST:]]
    opened = min((at for at, figure in since.items() if figure > OPEN), default=None)
    return Course(
        max(since.values()), fmean(late) if late else None, None if opened is None else opened - first + 1
    )
