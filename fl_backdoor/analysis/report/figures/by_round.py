"""Accuracy and backdoor success by round."""

from collections.abc import Callable, Sequence
from statistics import fmean

from fl_backdoor.analysis.report.cases import Case, Comparison
from fl_backdoor.analysis.report.figure import LOOKS, Axis, Chart, Look, Series
from fl_backdoor.core.table import number
from fl_backdoor.runs.run import Run

FIGURES = {"main_task_accuracy": "accuracy", "attack_success_rate": "ASR", "success_rate": "SR"}

ROUND = Axis("server_round", "round", whole=True)


def by_round(comparison: Comparison, cases: Sequence[Case]) -> list[Chart]:
    """Return accuracy and ASR by round, a line for each of `cases`; of a single case in one, with SR."""
    if len(cases) == 1:
        found = _chart(
            "figures_by_round", "Accuracy, ASR and SR by round", "share of test samples (%)", "share"
        )
        return found(_of_one_case(cases[0]))
    left_out = len(comparison.cases) - len(cases)
    more = (
        f" Shown are the worst attacks on each defence; {left_out} settings are left out." if left_out else ""
    )
    return [
        chart
        for column, name in list(FIGURES.items())[:2]
        for chart in _chart(
            f"{name.lower()}_by_round",
            f"{name[0].upper()}{name[1:]} by round",
            f"{name} (%)",
            column,
            more,
        )(_of_many_cases(comparison, cases, column))
    ]


def _chart(
    name: str, title: str, label: str, column: str, more: str = ""
) -> Callable[[Sequence[Series]], list[Chart]]:
    caption = (
        "Means over seeds, bands from the lowest to the highest seed; round 0 is the model that nobody has "
        f"trained yet. Dotted: the same training when nobody attacks, where it is known.{more}"
    )
    axis = Axis(column, label, percent=True)
    return lambda series: [Chart(name, title, caption, ROUND, axis, tuple(series))] if series else []


def _of_one_case(case: Case) -> list[Series]:
    named = zip(FIGURES.items(), LOOKS, strict=False)
    return [series for (column, name), look in named for series in _series(case, column, name, look)]


def _of_many_cases(comparison: Comparison, cases: Sequence[Case], column: str) -> list[Series]:
    named = zip(cases, LOOKS, strict=False)
    return [series for case, look in named for series in _series(case, column, comparison.label(case), look)]


def _series(case: Case, column: str, label: str, look: Look) -> list[Series]:
    runs = case.shown()
    note = "" if case.is_finished else " (diverged)" if case.diverged else " (not finished)"
    baseline = _line(
        f"{label}, clean baseline", Look(look.colour, dash="dot"), runs, f"clean_{column}", in_legend=False
    )
    line = _line(f"{label}{note}", look, runs, column)
    # A clean run is its own baseline.
    return [*([] if case.attacks is False else baseline), *line]


def _line(
    label: str, look: Look, runs: Sequence[Run], column: str, *, in_legend: bool = True
) -> list[Series]:
    """Return the mean of a figure over `runs` by round, in the rounds that all of them know."""
    known = [_known(run, column) for run in runs]
    rounds = sorted(set.intersection(*(set(found) for found in known))) if known else []
    if not rounds:
        return []
    values = [[found[at] for found in known] for at in rounds]
    means = [fmean(found) for found in values]
    low, high = (
        ([min(found) for found in values], [max(found) for found in values]) if len(runs) > 1 else ((), ())
    )
    return [Series(label, look, rounds, means, low, high, in_legend=in_legend)]


def _known(run: Run, column: str) -> dict[int, float]:
    """Return a figure by round; a model that had diverged has none of its own."""
    usable = [row for row in run.rounds if row["diverged"] is None or column.startswith("clean_")]
    found = [(row["server_round"], number(row.get(column))) for row in usable]
    return {at: share for at, share in found if isinstance(at, int) and share is not None}
