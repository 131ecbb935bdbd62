"""Runs as their folders tell of them, half written and damaged ones included."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from fl_backdoor.core import reading, table
from fl_backdoor.core.chains import STEPS, TARGET, title
from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.core.foreign_text import printable
from fl_backdoor.core.renamed import with_todays_names
from fl_backdoor.runs import run_tables
from fl_backdoor.runs.earlier_summary import completed
from fl_backdoor.runs.started_from import started_from
from fl_backdoor.runs.summary import FORMAT, REACHED_THE_END, headline, why_diverged

RUN_TRACES = ("config.yaml", "summary.json", "rounds.csv")
"""What gives a run's folder away."""

DATA = "data.json"
"""Which data a run is made on."""

TABLES = ("rounds.csv", "clients.csv")

STRATEGY_TARGET = "strategy._target_"

OUR_STRATEGIES, OUR_DATASETS = "strategies.", "fl_backdoor.data."

Found = TypeVar("Found")

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
        told = self.summary.get("diverged") or why_diverged(self.rounds)
        return None if told is None else str(told)

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
        return str(self.summary.get("strategy") or title(asked)).rpartition(".")[2]

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


def find(folders: Sequence[Path]) -> list[Run]:
    """Read all runs in and below `folders`, each once, in the order of their names.

    Raises
    ------
    FlBackdoorError
        If one of `folders` is not there or holds no run.
    """
    return _each_once(run for folder in folders for run in _below(folder, folders))


def find_all(folders: Sequence[Path]) -> tuple[list[Run], list[str]]:
    """Read like `find`; folders that hold no run are told of in the second list, a line each."""
    runs: list[Run] = []
    problems: list[str] = []
    for folder in folders:
        try:
            runs += _below(folder, folders)
        except FlBackdoorError as error:
            problems.append(str(error))
    return _each_once(runs), problems


def read(folder: Path, name: str | None = None, *, tables: bool = True) -> Run:
    """Read the run in `folder`, as far as it can be read; its tables only where they are asked for."""
    run = Run(folder, printable(folder.resolve().name if name is None else name))
    run.settings = _attempt(run, lambda: _settings(folder / "config.yaml")) or {}
    if run.settings and (folder / DATA).exists():
        run.settings |= _attempt(run, lambda: _told_by_contents(folder / DATA)) or {}
    if (folder / "summary.json").exists():
        run.summary = _attempt(run, lambda: _summary(folder / "summary.json")) or {"status": "unknown"}
    if tables:
        _read_tables(run)
    if run.summary:
        run.summary = completed(run.summary, run.rounds, run.clients, attacks=run.attacks is not False)
    return run


def fingerprint(folder: Path) -> str | None:
    """Return which data the run in `folder` is made on; None: its version did not tell yet.

    Raises
    ------
    FlBackdoorError
        If the note cannot be read.
    """
    return str(_data(folder / DATA)["fingerprint"]) if (folder / DATA).exists() else None


def run_folders(folder: Path) -> list[Path]:
    """Return `folder` itself and all folders below it that hold something of a run, sorted.

    Hidden folders are passed by: Hydra's ``.hydra`` holds a ``config.yaml`` of its own.
    """
    found = {path.relative_to(folder).parent for name in RUN_TRACES for path in folder.rglob(name)}
    return sorted(folder / inner for inner in found if not any(part.startswith(".") for part in inner.parts))


def some_run_folders(folder: Path) -> list[Path]:
    """Return the same, at least one.

    Raises
    ------
    FlBackdoorError
        If `folder` is not there or holds no run.
    """
    if not folder.is_dir():
        raise FlBackdoorError(f"{folder}: there is no such folder")
    found = run_folders(folder)
    if not found:
        raise FlBackdoorError(f"{folder} holds no run: no {', '.join(RUN_TRACES)} in it or below")
    return found


def flatten(config: Mapping[str, Any], prefix: str = "") -> Settings:
    """Return nested settings by dotted key; a list becomes text, as JSON."""
    flat: Settings = {}
    for name, found in config.items():
        key = f"{prefix}{printable(str(name))}"
        if isinstance(found, Mapping):
            flat |= flatten(found, f"{key}.")
        else:
            flat[key] = _cell(found)
    return flat


def _cell(found: object) -> table.Cell:
    if isinstance(found, str):
        return printable(found)
    if found is None or isinstance(found, bool | int | float):
        return found
    return json.dumps(found, default=str)


def _each_once(runs: Iterable[Run]) -> list[Run]:
    found = list({run.folder.resolve(): run for run in runs}.values())
    tell_of_each_other(found)
    return found


def tell_of_each_other(runs: Sequence[Run]) -> None:
    """Tell runs what `runs` know together: data sets of those that have not ended, defences of one name."""
    _tell_datasets(runs)
    targets: dict[str, set[table.Cell]] = {}
    for run in runs:
        run.has_namesake = False
        targets.setdefault(run.strategy, set()).add(run.settings.get(STRATEGY_TARGET))
    several = {name for name, found in targets.items() if len(found - {None}) > 1}
    for run in runs:
        is_ours = str(run.settings.get(STRATEGY_TARGET)).startswith(OUR_STRATEGIES)
        run.has_namesake = run.strategy in several and not is_ours


def _tell_datasets(runs: Sequence[Run]) -> None:
    known: dict[str, set[str]] = {}
    for run in runs:
        if "dataset" in run.summary:
            known.setdefault(_dataset_settings(run), set()).add(run.dataset)
    for run in runs:
        found = known.get(_dataset_settings(run), set())
        run.dataset_elsewhere = next(iter(found)) if len(found) == 1 and run.settings else None


def _dataset_settings(run: Run) -> str:
    return repr(sorted((key, found) for key, found in run.settings.items() if key.startswith("dataset.")))


def _below(folder: Path, among: Sequence[Path]) -> list[Run]:
    found = some_run_folders(folder)
    prefix = f"{folder.resolve().name}/" if len(among) > 1 else ""
    return [
        read(path, None if path == folder else f"{prefix}{path.relative_to(folder).as_posix()}")
        for path in found
    ]


def _read_tables(run: Run) -> None:
    folder = run.folder
    if not any((folder / name).exists() for name in TABLES):
        run.problems.append(f"{folder} holds half a run: {' and '.join(TABLES)} are missing")
        return
    run.rounds = _attempt(run, lambda: run_tables.rounds(folder / "rounds.csv")) or []
    run.clients = _attempt(run, lambda: run_tables.clients(folder / "clients.csv")) or []


def _attempt(run: Run, read_part: Callable[[], Found]) -> Found | None:
    try:
        return read_part()
    except FlBackdoorError as error:
        run.problems.append(str(error))
        return None


def _settings(path: Path) -> Settings:
    return with_todays_names(_flat(path, reading.yaml_values(path)))


def _told_by_contents(path: Path) -> Settings:
    """Return what tells data from others under the same settings, as if it were one of them."""
    found = _data(path)
    return {} if found.get("published") is True else {"dataset.contents": found["fingerprint"]}


def _data(path: Path) -> Settings:
    found = _flat(path, reading.json_values(path))
    if "fingerprint" not in found:
        raise reading.damaged(path, "it names no fingerprint")
    return found


def _summary(path: Path) -> Settings:
    found = _flat(path, reading.json_values(path))
    written = found.get("format", 1)
    if not isinstance(written, int) or written > FORMAT:
        raise FlBackdoorError(f"{path} has format {written}, this version reads {FORMAT}: take a newer one")
    return found


def _flat(path: Path, found: object) -> Settings:
    if not isinstance(found, Mapping):
        raise reading.damaged(path, "it must hold settings by name")
    return flatten(found)


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
