"""The table of a paper: a row a setting, figures over seeds, and the clean baseline beside them."""

from collections.abc import Sequence
from dataclasses import dataclass

from fl_backdoor.analysis.clean_baseline import fill_clean_figures
from fl_backdoor.analysis.more_figures import MORE_FIGURES
from fl_backdoor.analysis.render.sheet import Sheet, gather
from fl_backdoor.analysis.seeds import Setting, Spread, by_setting, figure_settings, spread
from fl_backdoor.analysis.varying_settings import short, value, varying_keys
from fl_backdoor.core import table
from fl_backdoor.runs.run import Run

ALWAYS = ("strategy", "attack.alpha")
"""Settings that have a column even where all runs agree."""

HEADS = {
    "dataset": "Data set",
    "strategy": "Defence",
    "attack.alpha": "α",
    "attack.num_malicious": "Attackers",
    "main_task_accuracy": "Accuracy",
    "clean_main_task_accuracy": "clean",
    "attack_success_rate": "ASR",
    "clean_attack_success_rate": "clean",
    "success_rate": "SR",
    "clean_success_rate": "clean",
    "true_positive_rate": "round TPR",
    "false_positive_rate": "round FPR",
    "client_true_positive_rate": "client TPR",
    "client_false_positive_rate": "client FPR",
}
"""What a reader knows settings and figures by; other settings go by their dotted keys."""

DETECTION = (
    "true_positive_rate",
    "false_positive_rate",
    "client_true_positive_rate",
    "client_false_positive_rate",
)
"""Over client-rounds and over clients of a whole run, from ``summary.json``; ``rounds.csv`` has rounds."""

FIGURES = (
    "main_task_accuracy",
    "clean_main_task_accuracy",
    "attack_success_rate",
    "clean_attack_success_rate",
    "success_rate",
    "clean_success_rate",
    *DETECTION,
)
"""Each beside its clean baseline: the same training under the same defence when nobody attacks."""

IN_TITLE = (
    ("num_rounds", "{} rounds"),
    ("partition.num_clients", "{} clients"),
    ("attack.num_malicious", "{} of them malicious"),
)

NO_BASELINE = "clean baseline unknown: no run under these settings that nobody attacks"
ONE_SEED = "one seed: no spread"
UNKNOWN = "–"
DIVERGED = "diverged"


@dataclass(frozen=True)
class SettingRow:
    """A row: runs that differ in their seed alone.

    Parameters
    ----------
    setting
        The runs.
    named
        The settings that have a column, by dotted key; a key is missing where the setting does not exist.
    figures
        Each of `FIGURES` and `MORE_FIGURES` over the seeds that finished, shares in [0, 1]; None: unknown.
    marks
        What a reader has to know before believing the row, a line each.
    """

    setting: Setting
    named: table.Row
    figures: dict[str, Spread | None]
    marks: tuple[str, ...]


@dataclass(frozen=True)
class SettingsTable:
    """All rows, sorted by their settings.

    Parameters
    ----------
    keys
        The settings that have a column, dotted keys.
    rows
        At least one.
    title
        What all rows agree in, one line.
    """

    keys: tuple[str, ...]
    rows: tuple[SettingRow, ...]
    title: str


def tabulate(runs: Sequence[Run]) -> SettingsTable:
    """Return the table of `runs`, at least one; runs that lack a clean baseline get it from the others."""
    fill_clean_figures(runs)
    settings = by_setting(runs)
    known = [figure_settings(run) for run in runs if run.settings]
    keys = tuple(dict.fromkeys([*(key for key in varying_keys(known) if key == "dataset"), *ALWAYS]))
    keys += tuple(key for key in varying_keys(known) if key not in keys)
    rows = sorted((_row(setting, keys) for setting in settings), key=lambda row: table.order(row.named, keys))
    return SettingsTable(keys, tuple(rows), _title(known))


def sheet(content: SettingsTable, also: Sequence[str] = ()) -> Sheet:
    """Return `content` as text, shares in per cent; detection is left out where no row knows it.

    `also` are those of `MORE_FIGURES` that have a column.
    """
    known = {name for row in content.rows for name, found in row.figures.items() if found}
    shown = [name for name in FIGURES if name not in DETECTION or name in known]
    footnotes, noted = gather([row.marks for row in content.rows])
    return Sheet(
        title=content.title,
        columns=(
            *(HEADS.get(key, key) for key in content.keys),
            "Seeds",
            *(HEADS[name] for name in shown),
            *(MORE_FIGURES[name].heading for name in also),
        ),
        rows=tuple(
            (*_cells(row, content.keys, shown), *(more_cell(row.setting, name) for name in also))
            for row in content.rows
        ),
        num_names=len(content.keys),
        footnotes=footnotes,
        noted=noted,
    )


def csv(content: SettingsTable) -> bytes:
    """Return `content` with all digits; shares in [0, 1], and five columns for each figure."""
    parts = ("n", "mean", "std", "low", "high")
    figures = tuple(f"{name}_{part}" for name in (*FIGURES, *MORE_FIGURES) for part in parts)
    columns = (*content.keys, "seeds", *figures, "marks")
    return table.header(columns) + table.lines((_exact(row, content.keys) for row in content.rows), columns)


def figure(run: Run, name: str) -> float | None:
    """Return what a run came to; None: unknown."""
    last = None if name in DETECTION else run.final(name)
    return table.number(run.summary.get(name)) if last is None else last


def over_seeds(runs: Sequence[Run], name: str) -> Spread | None:
    """Return a figure of `runs`, one a seed; None: unknown."""
    values = [found for run in runs if (found := figure(run, name)) is not None]
    return spread(values) if values else None


def more_cell(setting: Setting, name: str) -> str:
    """Return one of `MORE_FIGURES` over the seeds that finished, as text."""
    found = over_seeds(setting.finished, name)
    if found is None:
        return _otherwise(setting, name)
    return MORE_FIGURES[name].text(found, len(setting.finished))


def marks_of(setting: Setting) -> list[str]:
    """Return what a reader has to know before believing a row; seeds are named if not all are meant."""
    seeds: dict[str, list[str]] = {}
    for run in setting.runs:
        for mark in run.marks:
            seeds.setdefault(mark, []).append("?" if run.seed is None else str(run.seed))
    return [
        mark if len(own) == len(setting.runs) else f"{mark} (seed {', '.join(own)})"
        for mark, own in seeds.items()
    ]


def _row(setting: Setting, keys: Sequence[str]) -> SettingRow:
    found = figure_settings(setting.runs[0])
    figures = {name: over_seeds(setting.finished, name) for name in (*FIGURES, *MORE_FIGURES)}
    one = [ONE_SEED] if len(setting.finished) == 1 else []
    marks = (*one, *marks_of(setting), *_baseline_marks(figures))
    return SettingRow(setting, {key: found[key] for key in keys if key in found}, figures, marks)


def _baseline_marks(figures: dict[str, Spread | None]) -> list[str]:
    """Say where backdoor figures stand without their baseline, or beside one of fewer seeds."""
    attacked, baseline = figures["attack_success_rate"], figures["clean_attack_success_rate"]
    if attacked is None:
        return []
    if baseline is None:
        return [NO_BASELINE]
    known, needed = len(baseline.values), len(attacked.values)
    return [f"clean baseline of {known} of {needed} seeds"] if known < needed else []


def _title(known: Sequence[table.Row]) -> str:
    agreed = {key: found for key, found in (known[0] if known else {}).items() if _agree(known, key)}
    parts = [text.format(value(agreed[key])) for key, text in IN_TITLE if key in agreed]
    what = ", ".join([*([str(agreed["dataset"])] if "dataset" in agreed else []), *parts])
    said = "Per cent, mean ± standard deviation over seeds; clean: the same training when nobody attacks."
    return f"{what}. {said}" if what else said


def _agree(known: Sequence[table.Row], key: str) -> bool:
    return len({repr(found.get(key)) for found in known}) == 1


def _cells(row: SettingRow, keys: Sequence[str], shown: Sequence[str]) -> tuple[str, ...]:
    names = [short(key, row.named[key]) if key in row.named else UNKNOWN for key in keys]
    figures = (_percent(row.figures[name], _otherwise(row.setting, name)) for name in shown)
    return (*names, str(len(row.setting.finished)), *figures)


def _otherwise(setting: Setting, name: str) -> str:
    """Return what stands in the place of a figure that no run has."""
    is_lost = setting.diverged and not setting.finished and not name.startswith("clean_")
    return DIVERGED if is_lost else UNKNOWN


def _percent(found: Spread | None, otherwise: str) -> str:
    if found is None:
        return otherwise
    mean = f"{100 * found.mean:.1f}"
    return mean if found.std is None else f"{mean} ± {100 * found.std:.1f}"


def _exact(row: SettingRow, keys: Sequence[str]) -> table.Row:
    cells: table.Row = {key: row.named.get(key) for key in keys}
    cells["seeds"] = " ".join(str(run.seed) for run in row.setting.finished)
    for name, found in row.figures.items():
        cells[f"{name}_n"] = len(found.values) if found else 0
        for part in ("mean", "std", "low", "high"):
            cells[f"{name}_{part}"] = getattr(found, part) if found else None
    return cells | {"marks": "; ".join(row.marks) or None}
