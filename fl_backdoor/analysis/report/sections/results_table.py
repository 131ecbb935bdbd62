"""The table: a row a setting, each figure over seeds beside its clean baseline."""

from fl_backdoor.analysis.report.cases import Case
from fl_backdoor.analysis.report.html import Html, element, joined, table
from fl_backdoor.analysis.report.material import Chapter, Material
from fl_backdoor.analysis.report.sections.more_results import more_results
from fl_backdoor.analysis.report.words import percent
from fl_backdoor.analysis.seeds import Spread
from fl_backdoor.analysis.settings_table import DIVERGED, UNKNOWN, over_seeds

FIGURES = {"main_task_accuracy": "accuracy", "attack_success_rate": "ASR", "success_rate": "SR"}

FLAGGED = {
    "flagged client-rounds": ("attacking", "true_positive_rate", "false_positive_rate"),
    "flagged clients": ("malicious", "client_true_positive_rate", "client_false_positive_rate"),
}
"""Columns: what their positives are called, and their rates of true and of false positives."""

EXPLAINED = (
    "Mean ± standard deviation over seeds after the last round; in brackets the 95 % interval of the mean "
    "(percentile bootstrap over seeds); below it the clean baseline, the same figure of the same training "
    "without an attack. ASR: share of triggered samples, those of the target’s own class left out, that are "
    "taken for the target. SR: the same share of all triggered samples. Flagged client-rounds: of all usable "
    "replies of attackers in rounds in which they attacked, and of all of benign clients, how many the "
    "defence flagged. Flagged clients: of the malicious and of the benign clients, how many it ever flagged."
)


def results(material: Material) -> Html:
    """Return a table for each data set."""
    return element(
        "section",
        element("h2", "Results"),
        element("p", EXPLAINED, class_="note"),
        *(_table(chapter) for chapter in material.chapters),
        more_results(material),
        id="results",
    )


def _table(chapter: Chapter) -> Html:
    comparison = chapter.comparison
    rows = [_row(case) for case in comparison.cases]
    header = ["defence", "attack", *FIGURES.values(), *FLAGGED, "seeds", "remarks"]
    return table(header, rows, f"Results on {comparison.dataset}", class_="results")


def _row(case: Case) -> list[str]:
    figures = [_figure(case, column) for column in FIGURES]
    marks = element("ul", *(element("li", mark) for mark in case.marks)) if case.marks else Html()
    flagged = [_flagged(case, *of) for of in FLAGGED.values()]
    return [case.defence, case.scenario, *figures, *flagged, str(len(case.setting.finished)), marks]


def _figure(case: Case, column: str) -> Html:
    spread = case.spread(column)
    if spread is None:
        return _provisional(case, column)
    baseline = case.mean(f"clean_{column}")
    beside = (
        []
        if case.attacks is False
        else [_line("baseline " + ("unknown" if baseline is None else percent(baseline)))]
    )
    return joined([element("span", _mean(spread), class_="mean"), *_interval(spread), *beside])


def _flagged(case: Case, positives: str, hits: str, alarms: str) -> Html:
    """Return mean rates over seeds; false positives are benign throughout."""
    found = [
        (what, over_seeds(case.setting.finished, name))
        for what, name in ((positives, hits), ("benign", alarms))
    ]
    lines: list[str] = [_line(f"{percent(rate.mean)} of {what}") for what, rate in found if rate is not None]
    return joined(lines) if lines else _line(UNKNOWN)


def _mean(spread: Spread) -> str:
    deviation = "" if spread.std is None else f" ± {100 * spread.std:.1f}"
    return percent(spread.mean).replace("\u00a0%", f"{deviation}\u00a0%")


def _interval(spread: Spread) -> list[Html]:
    if spread.low is None or spread.high is None:
        return []
    return [_line(f"[{100 * spread.low:.1f}, {100 * spread.high:.1f}]")]


def _provisional(case: Case, column: str) -> Html:
    """Return where the run stands that is furthest on, or that it has diverged."""
    furthest = case.shown()[0]
    if furthest.diverged:
        return _line(DIVERGED)
    found = furthest.final(column)
    return _line("unknown" if found is None else f"so far {percent(found)}")


def _line(text: str) -> Html:
    return element("span", text, class_="small")
