"""A run that goes on elsewhere, seen through the files that it writes."""

import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from fl_backdoor.core.table import Row, number
from fl_backdoor.runs import lock, runs
from fl_backdoor.runs.run import Run

FILES = ("config.yaml", "rounds.csv", "clients.csv", "summary.json")

TIMES_A_ROUND = 10
"""A run that is silent for so many times its longest round may be dead."""

SHORTEST_SILENCE, SILENCE_BEFORE_ROUNDS = 60.0, 300.0
"""Seconds: silence that is never pointed out, and silence before the first round has ended that is."""


@dataclass(frozen=True)
class News:
    """A round that was not there before.

    Parameters
    ----------
    row
        The round's row.
    clients
        The rows of its clients.
    left
        Seconds that the rounds after it will take, going by those before it; None: unknown.
    """

    row: Row
    clients: list[Row]
    left: float | None


class FollowedRun:
    """A run's folder, looked at again and again.

    Parameters
    ----------
    folder
        Where the run writes.
    name
        How it is called beside others.

    Attributes
    ----------
    run
        What could be read when it was last looked at.
    settled
        Whether nothing had changed then since the look before: what cannot be read is no half-written file.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.run = Run(folder, name)
        self.settled = False
        self._stamps: list[tuple[int, int] | None] = []
        self._last_round = -1

    @property
    def num_rounds(self) -> int:
        """Rounds that were asked for; those that are there where that is unknown."""
        asked = self.run.settings.get("num_rounds", self.run.summary.get("num_rounds"))
        return asked if isinstance(asked, int) else self.run.rounds_finished

    @property
    def ended(self) -> bool:
        """Whether the run has said how it ended."""
        return "status" in self.run.summary

    def look(self) -> list[News]:
        """Read what has changed, and return the rounds that are new."""
        stamps = [_stamp(self.run.folder / name) for name in FILES]
        self.settled = stamps == self._stamps
        if self.settled:
            return []
        self._stamps = stamps
        # Rounds are read before clients: the clients of a round are on the disk before its row.
        self.run = runs.read(self.run.folder, self.run.name)
        return self._news()

    def silent_seconds(self) -> float | None:
        """Return how long nothing has come that should have; None: the run has ended, or is in time."""
        silence = time.time() - max((stamp[0] for stamp in self._stamps if stamp), default=0) / 1e9
        return silence if not self.ended and silence > self._longest_silence() else None

    @property
    def cut_off(self) -> bool:
        """Whether nothing has come for long and no process holds the folder: nobody is at work on it."""
        # Both, since a disk that is shared with another machine may keep that one's locks to itself.
        return self.silent_seconds() is not None and not lock.is_held(self.run.folder)

    def seconds_left(self) -> float | None:
        """Return what the rounds that are not there yet will take, going by those that are; None: unknown."""
        return self._left_after(self.run.rounds_finished, sum(map(_seconds, self.run.rounds[2:])))

    def longest_round(self) -> float | None:
        """Return the seconds of the longest round; None: none has ended."""
        return max(map(_seconds, self.run.rounds[1:]), default=None)

    def _longest_silence(self) -> float:
        longest = self.longest_round()
        return SILENCE_BEFORE_ROUNDS if longest is None else max(SHORTEST_SILENCE, TIMES_A_ROUND * longest)

    def _news(self) -> list[News]:
        clients = defaultdict[int, list[Row]](list)
        for client in self.run.clients:
            clients[_round_of(client)].append(client)
        news, seconds = [], 0.0
        for index, row in enumerate(self.run.rounds):
            server_round = _round_of(row)
            seconds += _seconds(row) if index > 1 else 0.0
            if server_round > self._last_round:
                news.append(News(row, clients[server_round], self._left_after(server_round, seconds)))
                self._last_round = server_round
        return news

    def _left_after(self, server_round: int, seconds: float) -> float | None:
        """Return the time left if all rounds are like those from the second to this, which took so long."""
        # The first round holds the start of all workers and says nothing about the others.
        first = _round_of(self.run.rounds[0]) + 1 if self.run.rounds else 0
        if server_round <= first:
            return None
        return seconds / (server_round - first) * (self.num_rounds - server_round)


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _round_of(row: Row) -> int:
    found = row["server_round"]
    return found if isinstance(found, int) else -1


def _seconds(row: Row) -> float:
    # A model is evaluated while the next round trains.
    return sum(number(row[name]) or 0.0 for name in ("train_seconds", "aggregate_seconds"))
