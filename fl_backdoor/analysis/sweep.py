"""Many runs side by side: one table, one figure. Written anew after each run of a sweep."""

import logging
from collections.abc import Sequence
from pathlib import Path

from fl_backdoor.analysis.clean_baseline import CLEAN_COLUMNS, fill_clean_figures
from fl_backdoor.analysis.sweep_figure import draw_sweep
from fl_backdoor.config.metric_settings import changes_no_metric
from fl_backdoor.core import files, table
from fl_backdoor.runs.columns import LATER_FIGURES
from fl_backdoor.runs.run import Run, Settings
from fl_backdoor.runs.runs import read, run_folders, tell_of_each_other

log = logging.getLogger("fl_backdoor")

ALWAYS = ("dataset", "strategy", "attack.alpha", "attack.num_malicious")
"""Settings that have a column even where all runs agree, as has the seed."""

OUTCOME = (
    "status",
    "diverged",
    "rounds_finished",
    "main_task_accuracy",
    "test_loss",
    "attack_success_rate",
    "success_rate",
    *CLEAN_COLUMNS,
    "true_positive_rate",
    "false_positive_rate",
    "client_true_positive_rate",
    "client_false_positive_rate",
    "wall_seconds",
    *LATER_FIGURES,
    "peak_attack_success_rate",
    "late_attack_success_rate",
    "rounds_to_open",
)

TOLD_BY_SUMMARY = ("seed", "dataset", "strategy", "attacks", *OUTCOME)


def collect(sweep_folder: Path) -> None:
    """Write ``sweep.csv`` and ``success_rate_by_alpha.png`` from all runs below `sweep_folder`.

    Runs that have not ended, or whose files are damaged, are left out and named in a warning. Without any
    run that can be read, nothing is written.

    Raises
    ------
    FlBackdoorError
        If the table or the figure cannot be written.
    """
    files.remove_drafts(sweep_folder)
    below = [folder for folder in run_folders(sweep_folder) if folder != sweep_folder]
    runs = [run for folder in below if (run := _ended(folder, sweep_folder))]
    if not runs:
        log.warning("sweep: %s holds no run that can be read", sweep_folder)
        return
    tell_of_each_other(runs)
    fill_clean_figures(runs)
    differing = differing_settings([run.settings for run in runs])
    settings = (*ALWAYS, *differing, "seed")
    columns = ("run", *settings, *OUTCOME)
    rows = sorted((_row(run, columns) for run in runs), key=lambda row: table.order(row, (*settings, "run")))
    files.replace(sweep_folder / "sweep.csv", table.header(columns) + table.lines(rows, columns))
    finished = [row for row in rows if row["status"] == "finished"]
    if finished:
        varying = [name for name in differing if not changes_no_metric(name)]
        num_diverged = sum(row["status"] == "diverged" for row in rows)
        draw_sweep(sweep_folder / "success_rate_by_alpha.png", finished, varying, num_diverged)


def differing_settings(all_settings: Sequence[Settings]) -> tuple[str, ...]:
    """Return the dotted keys that are not the same in all runs, beside those that have a column anyway."""
    # The names of data set and strategy say what these targets say.
    shown = {*ALWAYS, "seed", "dataset._target_", "strategy._target_"}
    keys = dict.fromkeys(key for settings in all_settings for key in settings if key not in shown)
    return tuple(key for key in keys if len({repr(settings.get(key)) for settings in all_settings}) > 1)


def _ended(folder: Path, sweep_folder: Path) -> Run | None:
    run = read(folder, folder.relative_to(sweep_folder).as_posix(), tables=False)
    missing = [name for name in TOLD_BY_SUMMARY if name not in run.summary]
    if run.problems or missing:
        unfinished = f"it has not ended, or its summary lacks {', '.join(missing)}"
        log.warning("sweep: %s left out: %s", folder, (*run.problems, unfinished)[0])
        return None
    return run


def _row(run: Run, columns: Sequence[str]) -> table.Row:
    summary = {name: run.summary[name] for name in TOLD_BY_SUMMARY}
    known = {**run.settings, **summary, "run": run.name, "strategy": run.strategy}
    return {name: known.get(name) for name in columns}
