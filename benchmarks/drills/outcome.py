"""What a group of drills is asked for, and what it says."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Options:
    """How drills are done.

    Parameters
    ----------
    seed
        Whatever is drawn at random follows from it.
    tries
        How often a drill that can be repeated is; None: as often as it says.
    """

    seed: int
    tries: int | None


@dataclass(frozen=True)
class Outcome:
    """What became of a drill.

    Parameters
    ----------
    drill
        What was done.
    came_to
        How it went, in a few words.
    lost
        What should not have been lost, a line each; empty: the drill is passed.
    seconds
        How long it took.
    details
        Whatever else is worth keeping, as plain values for JSON.
    """

    drill: str
    came_to: str
    lost: Sequence[str]
    seconds: float
    details: Mapping[str, object] = field(default_factory=dict)


class Drills(Protocol):
    """A module of this package: drills that need the same."""

    NAMES: tuple[str, ...]
    """What they are called on the command line, in the order in which they are done."""

    def why_not(self) -> str | None:
        """Return why this machine cannot do them; None if it can."""

    def outcomes(self, names: Sequence[str], options: Options) -> Iterator[Outcome]:
        """Do those that are named, and say of each what became of it."""
