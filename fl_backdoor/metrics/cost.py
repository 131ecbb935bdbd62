"""What an attack costs whoever makes it: seconds of attacking clients beside those of benign ones."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean

from fl_backdoor.core.table import number


@dataclass(frozen=True)
class ClientSeconds:
    """Mean seconds that a usable reply took; None: there was none, or nobody measured.

    Parameters
    ----------
    attacking_wall_seconds, benign_wall_seconds
        By the clock, of clients in rounds in which they attacked and of benign clients.
    attacking_cpu_seconds, benign_cpu_seconds
        Processor time of the worker, all its threads together.
    """

    attacking_wall_seconds: float | None
    benign_wall_seconds: float | None
    attacking_cpu_seconds: float | None
    benign_cpu_seconds: float | None


def client_seconds(clients: Iterable[Mapping[str, object]]) -> ClientSeconds:
    """Return the means over the rows of ``clients.csv``; idle malicious clients count in neither."""
    usable = [row for row in clients if row["rejected"] is None]
    attacking = [row for row in usable if row["attacking"] is True]
    benign = [row for row in usable if row["malicious"] is not True]
    return ClientSeconds(
        _mean(attacking, "train_seconds"),
        _mean(benign, "train_seconds"),
        _mean(attacking, "cpu_seconds"),
        _mean(benign, "cpu_seconds"),
    )


def _mean(rows: Iterable[Mapping[str, object]], name: str) -> float | None:
    known = [found for row in rows if (found := number(row[name])) is not None]
    return fmean(known) if known else None
