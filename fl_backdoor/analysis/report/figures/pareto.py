"""Accuracy against backdoor success, a point for each defence, under one attack."""

from collections.abc import Sequence

from fl_backdoor.analysis.report.cases import Case, Comparison
from fl_backdoor.analysis.report.figure import GREY, LOOKS, Axis, Chart, Look, Series

MOST = 3
"""Figures; the attacks that open the backdoor most often come first."""

RATE, ACCURACY = "attack_success_rate", "main_task_accuracy"

Point = tuple[float, float]


def pareto(comparison: Comparison) -> list[Chart]:
    """Return a figure for each attack that two defences met."""
    attacked = [case for case in comparison.cases if case.attacks is not False and _point(case)]
    by_scenario: dict[str, list[Case]] = {}
    for case in attacked:
        by_scenario.setdefault(case.scenario, []).append(case)
    several = {name: cases for name, cases in by_scenario.items() if len({c.defence for c in cases}) > 1}
    chosen = sorted(several.items(), key=lambda item: -_openness(item[1]))[:MOST]
    left_out = len(several) - len(chosen)
    return [_chart(index, name, cases, left_out) for index, (name, cases) in enumerate(chosen, start=1)]


def front(points: Sequence[Point]) -> list[Point]:
    """Return the points that no other beats: none has less ASR and at least its accuracy, or the reverse.

    Parameters
    ----------
    points
        ASR and accuracy of each defence.

    Returns
    -------
    front
        Sorted by ASR.
    """
    best: list[Point] = []
    for rate, accuracy in sorted(set(points), key=lambda point: (point[0], -point[1])):
        if not best or accuracy > best[-1][1]:
            best.append((rate, accuracy))
    return best


def _chart(index: int, scenario: str, cases: Sequence[Case], left_out: int) -> Chart:
    points = [point for case in cases if (point := _point(case))]
    best = front(points)
    series = [
        _series(case, point, best, look) for case, point, look in zip(cases, points, LOOKS, strict=False)
    ]
    edge = Series("Pareto front", Look(GREY, dash="dash"), [x for x, _ in best], [y for _, y in best])
    more = f" {left_out} further attacks are left out." if left_out else ""
    return Chart(
        f"accuracy_against_asr_{index}",
        f"Accuracy against ASR: {scenario}",
        "Each point is a defence, mean over seeds after the last round, with bars from the lowest to the "
        "highest seed; up and to the left is better. Hollow: another defence has less ASR and more accuracy. "
        f"The rest are the Pareto front.{more}",
        Axis(RATE, "ASR (%)", percent=True, full=False),
        Axis(ACCURACY, "accuracy (%)", percent=True, full=False),
        (edge, *series),
    )


def _series(case: Case, point: Point, best: Sequence[Point], look: Look) -> Series:
    mark = Look(look.colour, look.marker, size=12, hollow=point not in best)
    rates, accuracies = (case.setting.values(column) for column in (RATE, ACCURACY))
    return Series(
        case.defence,
        mark,
        [point[0]],
        [point[1]],
        low=[min(accuracies)],
        high=[max(accuracies)],
        x_low=[min(rates)],
        x_high=[max(rates)],
        names=[case.defence],
    )


def _point(case: Case) -> Point | None:
    rate, accuracy = case.mean(RATE), case.mean(ACCURACY)
    return None if rate is None or accuracy is None else (rate, accuracy)


def _openness(cases: Sequence[Case]) -> float:
    return sum(case.mean(RATE) or 0.0 for case in cases) / len(cases)
