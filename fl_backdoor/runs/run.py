"""A run as its folder tells of it, and what a reader has to know before believing its figures."""

from dataclasses import dataclass, field
from pathlib import Path

from fl_backdoor.core import table
from fl_backdoor.core.chains import OPTIMIZER, STEPS, title
from fl_backdoor.core.plugins import TARGET
from fl_backdoor.runs.started_from import started_from
from fl_backdoor.runs.summary import REACHED_THE_END, headline, why_diverged

STRATEGY_TARGET = f"strategy.{TARGET}"

OUR_DATASETS = "fl_backdoor.data."

Settings = table.Row
"""Settings by dotted key, each a number, a truth value, text or None."""


@dataclass
class Run:
    """A run as its folder tells of it.

    Parameters
    ----------
    folder
        Where its files are.
    name
        The folder, relative to the one that was searched; the folder's own name if that was the run.
    settings
        All settings of ``config.yaml``, by dotted key; empty: unknown.
    summary
        What ``summary.json`` holds, by dotted key; empty: the run has not ended. Of one that cannot be read,
        the status alone, ``unknown``.
    rounds, clients
        The rows of ``rounds.csv`` and ``clients.csv``, as far as they can be read.
    problems
        What could not be read, a line each.
    dataset_elsewhere
        Name of the data set that other runs found under the same settings; None: unknown.
    has_namesake
        Whether its defence is not one of ours, and other runs have one whose class is called the same.
    """

    folder: Path
    name: str
    settings: Settings = field(default_factory=dict)
    summary: Settings = field(default_factory=dict)
    rounds: list[table.Row] = field(default_factory=list)
    clients: list[table.Row] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    dataset_elsewhere: str | None = None
    has_namesake: bool = False

    @property
    def status(self) -> str:
        """``finished``, ``diverged``, ``stopped`` or ``failed``, see `summary.Status`.

        ``unfinished``: it goes on, or was killed; ``unknown``: its summary cannot be read.
        """
        return str(self.summary.get("status", "unfinished"))

    @property
    def diverged(self) -> str | None:
        """Why its last model cannot be used, see `metrics.divergence`; None: it can, as far as is known."""
        reason = self.summary.get("diverged") or why_diverged(self.rounds)
        return None if reason is None else str(reason)

    @property
    def trained(self) -> bool:
        """Whether any round moved the model, as far as is known."""
        after_first = self.rounds[1:]
        return not after_first or any(row["model_updated"] is not False for row in after_first)

    @property
    def attacked(self) -> bool | None:
        """Whether any reply that was used came from a client that attacked; None: unknown."""
        if not self.clients:
            return None
        return any(row["attacking"] is True and row["rejected"] is None for row in self.clients)

    @property
    def tells_anything(self) -> bool:
        """Whether any of its files could be read."""
        return bool(self.settings or self.rounds or "dataset" in self.summary)

    @property
    def rounds_finished(self) -> int:
        """The last round that is on the disk."""
        last = self.rounds[-1]["server_round"] if self.rounds else 0
        return last if isinstance(last, int) else 0

    @property
    def strategy(self) -> str:
        """The defence's class, with its module where another one is called the same; ``?``: unknown."""
        target = self.settings.get(STRATEGY_TARGET)
        if self.has_namesake and target is not None:
            return str(target)
        asked = {name: self.settings.get(f"strategy.{name}", "?") for name in (TARGET, STEPS)}
        last = {TARGET: self.settings.get(f"{OPTIMIZER}.{TARGET}")}
        return str(self.summary.get("strategy") or title(asked, last)).rpartition(".")[2]

    @property
    def dataset(self) -> str:
        """Name of the data set that was really there; ``?``: unknown.

        A run that has not ended does not tell; what other runs found under the same settings is taken then.
        """
        return str(self.summary.get("dataset") or self.dataset_elsewhere or self._dataset_asked_for)

    @property
    def title(self) -> str:
        """Data set, strategy and α, as the head of the run's figure has them."""
        return headline(self.dataset, self.strategy, self.alpha)

    @property
    def seed(self) -> int | None:
        """The run's seed; None: unknown."""
        found = self.settings.get("seed", self.summary.get("seed"))
        return found if isinstance(found, int) else None

    @property
    def alpha(self) -> float | None:
        """The poison ratio; None: unknown."""
        return table.number(self.settings.get("attack.alpha", self.summary.get("alpha")))

    @property
    def attacks(self) -> bool | None:
        """Whether the run differs from one without attackers; None: unknown."""
        found = self.summary.get("attacks")
        if isinstance(found, bool):
            return found
        return any(row["attacking"] is True for row in self.clients) if self.clients else None

    def final(self, column: str) -> float | None:
        """Return a figure of ``rounds.csv`` after the last round; None: unknown, or of a diverged model."""
        if not self.rounds or self.diverged:
            return None
        return table.number(self.rounds[-1].get(column))

    @property
    def marks(self) -> list[str]:
        """What a reader has to know before believing the figures, a line each."""
        rules = (_not_finished, _diverged, _idle, _fallback, _oracle)
        return [mark for mark in (*(rule(self) for rule in rules), started_from(self.settings)) if mark]

    @property
    def _dataset_asked_for(self) -> str:
        """The module's name, which is that of the choice on the command line; of foreign sets the class's."""
        module, _, name = str(self.settings.get("dataset._target_", "?")).rpartition(".")
        return module.rpartition(".")[2] if module.startswith(OUR_DATASETS) else name


def of_strategy(settings: Settings, name: str) -> dict[str, table.Cell]:
    """Return, by dotted key, a setting of the strategy, or of each step of a chain that has it."""
    return {
        key: found
        for key, found in settings.items()
        if key.startswith("strategy.") and key.endswith(f".{name}")
    }


def _not_finished(run: Run) -> str | None:
    if run.status in REACHED_THE_END:
        return None
    asked = run.settings.get("num_rounds", "?")
    if run.status == "unknown":
        return f"unknown how it ended; {run.rounds_finished} of {asked} rounds are there"
    return f"{run.status} after {run.rounds_finished} of {asked} rounds"


def _diverged(run: Run) -> str | None:
    return f"diverged: {run.diverged}" if run.diverged else None


def _idle(run: Run) -> str | None:
    if not run.trained and not run.diverged:
        return "no round moved the model: it is the one that the run began with"
    if run.attacks and run.attacked is False and run.status in REACHED_THE_END:
        return "nobody attacked: no reply that was used came from a client that attacked"
    return None


def _fallback(run: Run) -> str | None:
    found = run.summary.get("dataset_fallback")
    return f"not the data set that was asked for: {found}" if found else None


def _oracle(run: Run) -> str | None:
    for key, named in of_strategy(run.settings, "client_ids").items():
        if named:
            return f"oracle: {key} = {named} are left out; no server knows whom to name"
    true = run.settings.get("attack.num_malicious")
    for key, known in of_strategy(run.settings, "num_malicious").items():
        if known is not None and known == true:
            return f"oracle: {key} = {known} is the true number of attackers, which no server knows"
    return None
