"""Whether a defence suspected the right clients, counted in two ways.

Over *client-rounds* each usable reply counts for itself: one of a client that attacked in that round should
have been flagged, one of a benign client should not. Replies of malicious clients in rounds in which they do
not attack count in neither: to flag one is no false alarm, and there was nothing to be found.

Over *clients* each client counts once: a malicious one as malicious whenever it attacks, and each as flagged
if it ever was.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fl_backdoor.core.types import ClientMask


@dataclass(frozen=True)
class Detection:
    """Counts, and rates in [0, 1], None where nobody is malicious or nobody is benign."""

    true_positives: int
    false_positives: int
    true_positive_rate: float | None
    false_positive_rate: float | None


def detection(flagged: ClientMask, attacking: ClientMask, malicious: ClientMask) -> Detection:
    """Compare whom a defence flagged in a round with who attacked: over client-rounds.

    Parameters
    ----------
    flagged, attacking, malicious
        Of the clients that the defence judged, bool ``(n_clients,)``; whoever attacks is malicious.
    """
    return _scored(
        int((flagged & attacking).sum()),
        int(attacking.sum()),
        int((flagged & ~malicious).sum()),
        int((~malicious).sum()),
    )


class Tally:
    """Detection summed up over rounds, from rows of ``clients.csv``.

    A row counts if the defence judged the client: its reply was usable, and flagged or not.

    Parameters
    ----------
    attacks
        Whether anybody attacks in the run; if not, nobody in it counts as malicious.
    """

    def __init__(self, *, attacks: bool) -> None:
        self._attacks = attacks
        self._attacking = self._attacking_flagged = self._benign = self._benign_flagged = 0
        self._ever_flagged: dict[object, bool] = {}
        self._malicious: set[object] = set()

    def add(self, rows: Iterable[Mapping[str, object]]) -> None:
        """Take in the clients of a round, or of many."""
        for row in rows:
            flagged = row["flagged"]
            if row["rejected"] is None and isinstance(flagged, bool):
                self._count(row, flagged=flagged)

    def client_rounds(self) -> Detection | None:
        """Return detection over all client-rounds so far; None: nobody has been judged yet."""
        if not self._ever_flagged:
            return None
        return _scored(self._attacking_flagged, self._attacking, self._benign_flagged, self._benign)

    def clients(self) -> Detection | None:
        """Return detection over all clients so far; None: nobody has been judged yet."""
        if not self._ever_flagged:
            return None
        malicious = [was for client, was in self._ever_flagged.items() if client in self._malicious]
        benign = [was for client, was in self._ever_flagged.items() if client not in self._malicious]
        return _scored(sum(malicious), len(malicious), sum(benign), len(benign))

    def _count(self, row: Mapping[str, object], *, flagged: bool) -> None:
        client = row["client_id"]
        self._ever_flagged[client] = flagged or self._ever_flagged.get(client, False)
        if self._attacks and row["malicious"] is True:
            self._malicious.add(client)
            self._attacking += row["attacking"] is True
            self._attacking_flagged += flagged and row["attacking"] is True
        else:
            self._benign += 1
            self._benign_flagged += flagged


def _scored(hits: int, num_malicious: int, alarms: int, num_benign: int) -> Detection:
    return Detection(
        hits,
        alarms,
        hits / num_malicious if num_malicious else None,
        alarms / num_benign if num_benign else None,
    )
