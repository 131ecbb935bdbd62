"""Backdoor success against α, a line for each defence."""

from collections.abc import Sequence

from fl_backdoor.analysis.report.cases import Case, Comparison
from fl_backdoor.analysis.report.figure import LOOKS, Axis, Chart, Look, Series
from fl_backdoor.analysis.report.words import counted

FIGURES = {"success_rate": "SR", "attack_success_rate": "ASR"}


def success_by_alpha(comparison: Comparison) -> list[Chart]:
    """Return SR-α and ASR-α curves; nothing unless some defence met two values of α."""
    lines = _lines(comparison)
    if not any(len({case.alpha for case in cases}) > 1 for cases in lines.values()):
        return []
    return [_chart(lines, column, name) for column, name in FIGURES.items()]


def _lines(comparison: Comparison) -> dict[str, list[Case]]:
    """Return the cases of each line; those that nobody attacked belong to every line of their defence."""
    known = [case for case in comparison.cases if case.is_finished and case.alpha is not None]
    lines: dict[str, list[Case]] = {}
    for case in known:
        if case.attacks is not False:
            lines.setdefault(_name(case), []).append(case)
    for name, cases in lines.items():
        alphas = {case.alpha for case in cases}
        clean = [case for case in known if case.attacks is False and _beside(case, cases[0])]
        lines[name] += {case.alpha: case for case in clean if case.alpha not in alphas}.values()
    return lines


def _name(case: Case) -> str:
    return ", ".join(filter(None, (case.defence, case.threat, case.conditions)))


def _beside(clean: Case, case: Case) -> bool:
    return (clean.defence, clean.conditions) == (case.defence, case.conditions)


def _chart(lines: dict[str, list[Case]], column: str, name: str) -> Chart:
    looks = dict(zip(lines, LOOKS, strict=False))
    series = [
        found
        for label, cases in lines.items()
        if label in looks
        for found in _series(label, sorted(cases, key=lambda case: case.alpha or 0.0), column, looks[label])
    ]
    baselines = " Dotted: the same defence when nobody attacks." if _has_baseline(series) else ""
    left_out = f" {len(lines) - len(looks)} lines are left out." if len(lines) > len(looks) else ""
    return Chart(
        f"{name.lower()}_by_alpha",
        f"{name} against α",
        f"{name} after the last round by the poison ratio α, the share of a malicious client’s batch "
        f"that carries the trigger; points are means over seeds, bands go from the lowest "
        f"to the highest seed.{baselines}{left_out}",
        Axis("alpha", "poison ratio α"),
        Axis(column, f"{name} (%)", percent=True),
        tuple(series),
    )


def _has_baseline(series: Sequence[Series]) -> bool:
    return any(not each.in_legend for each in series)


def _series(label: str, cases: Sequence[Case], column: str, look: Look) -> list[Series]:
    known = [(case.alpha, case.setting.values(column)) for case in cases]
    points = [(alpha, values) for alpha, values in known if values and alpha is not None]
    if not points:
        return []
    alphas = [alpha for alpha, _ in points]
    line = Series(
        label,
        look,
        alphas,
        [sum(values) / len(values) for _, values in points],
        [min(values) for _, values in points],
        [max(values) for _, values in points],
        names=[counted(len(values), "seed") for _, values in points],
    )
    return [*_baseline(label, cases, column, look), line]


def _baseline(label: str, cases: Sequence[Case], column: str, look: Look) -> list[Series]:
    # A run that nobody attacks is its own baseline.
    columns = [(case, column if case.attacks is False else f"clean_{column}") for case in cases]
    baselines = [(case.alpha, case.mean(name)) for case, name in columns]
    points = [
        (alpha, baseline) for alpha, baseline in baselines if baseline is not None and alpha is not None
    ]
    if len(points) < 2:
        return []
    alphas, means = zip(*points, strict=True)
    return [Series(f"{label}, clean baseline", Look(look.colour, dash="dot"), alphas, means, in_legend=False)]
