"""Reading runs from their folders, half written and damaged ones included."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from fl_backdoor.core import reading, table
from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.core.foreign_text import printable
from fl_backdoor.core.renamed import with_todays_names
from fl_backdoor.runs import run_tables
from fl_backdoor.runs.earlier_summary import completed
from fl_backdoor.runs.run import STRATEGY_TARGET, Run, Settings
from fl_backdoor.runs.summary import FORMAT

RUN_TRACES = ("config.yaml", "summary.json", "rounds.csv")
"""What gives a run's folder away."""

DATA = "data.json"
"""Which data a run is made on."""

TABLES = ("rounds.csv", "clients.csv")

OUR_STRATEGIES = "strategies."

Found = TypeVar("Found")


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


def find_telling(folders: Sequence[Path]) -> tuple[list[Run], list[str]]:
    """Read like `find_all`: the runs that tell anything, and all that cannot be read.

    Raises
    ------
    FlBackdoorError
        If there is no such run.
    """
    found, problems = find_all(folders)
    problems += [problem for run in found for problem in run.problems]
    runs = [run for run in found if run.tells_anything]
    if not runs:
        raise FlBackdoorError("; ".join(problems))
    return runs, problems


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
