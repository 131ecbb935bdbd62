"""What a tracker is told of a run, and when."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fl_backdoor.core.table import Row, number
from fl_backdoor.runs.run import Settings
from fl_backdoor.runs.summary import Status, checkout

STEP = "server_round"


@dataclass(frozen=True)
class TrackedRun:
    """A run as a tracker gets to know it.

    Parameters
    ----------
    title
        Data set, strategy and α, for a reader.
    folder
        The run's folder, which is there. A tracker may keep files of its own in it.
    settings
        All settings by dotted key.
    key
        What runs with the same metrics share, see `fl_backdoor.runner.experiment_key`.
    earlier
        The rows of ``rounds.csv`` that an earlier process wrote: the run was cut off and goes on.
    """

    title: str
    folder: Path
    settings: Settings
    key: str
    earlier: Sequence[Row] = ()

    def tags(self) -> dict[str, str]:
        """Return seed, git commit and whether the checkout differs from it, as far as they are known."""
        commit, dirty = checkout()
        known = {"seed": self.settings.get("seed"), "git_commit": commit, "git_dirty": dirty}
        return {name: text(value) for name, value in known.items() if value is not None}


class Tracker(ABC):
    """Something that follows runs; one object a run, all its methods are called by one thread, in order.

    Whatever they raise is reported and stops nothing. What is heavy to import is imported in `start`.

    Attributes
    ----------
    packages
        Packages that it imports, by the names they are imported under.
    extra
        The optional dependency of fl-backdoor that brings them.
    """

    packages: ClassVar[tuple[str, ...]] = ()
    extra: ClassVar[str] = ""

    @abstractmethod
    def start(self, run: TrackedRun) -> None:
        """Begin to follow `run`; where its folder shows that an earlier process did, go on with that.

        Its earlier rounds are told again: not all may have arrived, or one too many.
        """

    @abstractmethod
    def round_finished(self, server_round: int, figures: Mapping[str, float]) -> None:
        """Take the figures of a round: all numbers in its row of ``rounds.csv``, finite, by column.

        Among them is ``diverged``, 1 or 0: those of a model that has diverged are no result.
        """

    @abstractmethod
    def finish(self, status: Status) -> None:
        """Note how the run ended; all its files are there."""


def figures(row: Mapping[str, object]) -> dict[str, float]:
    """Return all finite numbers in a row of ``rounds.csv`` by column; the round itself is the step.

    Whether the model has diverged is a number as well: why is left to ``rounds.csv``.
    """
    found = {name: number(value) for name, value in row.items() if name != STEP}
    known = {name: value for name, value in found.items() if value is not None}
    return known | {"diverged": float(row["diverged"] is not None)}


def text(value: object) -> str:
    """Return a setting as it would stand in YAML."""
    return value if isinstance(value, str) else json.dumps(value)
