"""How long a backdoor stays open once nobody attacks any more."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from fl_backdoor.core.table import Row, number

OPEN = 0.5
"""An ASR above this counts as an open backdoor."""


@dataclass(frozen=True)
class Durability:
    """What became of the backdoor after the last attack, as long as there is a model that can be used.

    Parameters
    ----------
    last_attack
        The last round with a usable reply of an attacking client.
    rounds
        The rounds right after it, one by one, in which ASR stayed above `OPEN`.
    to_the_end
        Whether it was so in all rounds after the last attack, up to the first that diverged: the backdoor may
        last longer than the run.
    """

    last_attack: int
    rounds: int
    to_the_end: bool


def durability(rounds: Sequence[Row], clients: Sequence[Row]) -> Durability | None:
    """Return how long the backdoor stayed open; None if nobody attacked or no usable round came after it.

    `rounds` and `clients` are the run's tables.
    """
    last_attack = max(attacked_rounds(clients), default=None)
    if last_attack is None:
        return None
    later = (row for row in rounds if int(str(row["server_round"])) > last_attack)
    after = list(takewhile(lambda row: row["diverged"] is None, later))
    if not after:
        return None
    lasted = 0
    for row in after:
        figure = number(row["attack_success_rate"])
        if figure is None or figure <= OPEN:
            break
        lasted += 1
    return Durability(last_attack, lasted, to_the_end=lasted == len(after))


def attacked_rounds(clients: Sequence[Row]) -> set[int]:
    """Return the rounds with a usable reply of an attacking client, from the rows of ``clients.csv``."""
    return {
        int(str(row["server_round"]))
        for row in clients
        if row["attacking"] is True and row["rejected"] is None
    }
