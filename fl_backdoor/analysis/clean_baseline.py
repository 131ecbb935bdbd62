"""The baseline under a run's backdoor figures: a run without attackers among those that are looked at."""

import json
from collections.abc import Sequence

from fl_backdoor.config.metric_settings import changes_no_clean_metric
from fl_backdoor.runs.columns import ACCURACY_COLUMNS
from fl_backdoor.runs.run import Run

CLEAN_COLUMNS = tuple(f"clean_{name}" for name in ACCURACY_COLUMNS)


def fill_clean_figures(runs: Sequence[Run]) -> None:
    """Give runs whose clean model is unknown the figures of a clean run with otherwise the same settings.

    Parameters
    ----------
    runs
        Rows of `Run.rounds` without clean figures get them by round; so does `Run.summary`, if the run ended
        after as many rounds as the clean one.
    """
    clean = {_clean_settings(run): run for run in reversed(runs) if _is_clean_model(run)}
    for run in runs:
        model = clean.get(_clean_settings(run))
        if model is not None:
            _fill_summary(run, model)
            _fill_rounds(run, model)


def _is_clean_model(run: Run) -> bool:
    return run.status == "finished" and run.attacks is False and bool(run.settings) and run.trained


def _clean_settings(run: Run) -> str:
    """Return what a clean model depends on: settings, and the data set that was really there."""
    kept = {key: found for key, found in run.settings.items() if not changes_no_clean_metric(key)}
    return json.dumps([kept, run.dataset], sort_keys=True, default=str)


def _fill_summary(run: Run, model: Run) -> None:
    same_length = run.summary.get("rounds_finished") == model.summary.get("rounds_finished")
    if same_length and all(run.summary.get(name) is None for name in CLEAN_COLUMNS):
        run.summary.update({f"clean_{name}": model.summary.get(name) for name in ACCURACY_COLUMNS})


def _fill_rounds(run: Run, model: Run) -> None:
    by_round = {row["server_round"]: row for row in model.rounds}
    for row in run.rounds:
        found = by_round.get(row["server_round"])
        is_usable = found is not None and found["diverged"] is None
        if found is not None and is_usable and all(row[name] is None for name in CLEAN_COLUMNS):
            row.update({f"clean_{name}": found[name] for name in ACCURACY_COLUMNS})
