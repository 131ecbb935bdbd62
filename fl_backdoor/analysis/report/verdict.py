"""Whether a defence holds: the rule, and a sentence for each defence.

Judged is the *excess*: the share of triggered samples in which the backdoor opens (ASR) minus the same share
for a model that nobody attacked (the clean baseline), seed by seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from fl_backdoor.analysis.report.cases import NO_DEFENCE, Case, Comparison
from fl_backdoor.analysis.report.words import counted, percent, points
from fl_backdoor.analysis.seeds import Spread, spread

HOLDS_BELOW = 0.10
FAILS_ABOVE = 0.50
"""Bounds of the excess."""

DEAR_ABOVE = 0.05
"""Bound of the accuracy drop, from which on it is called high."""

Word = Literal["holds", "holds in part", "does not hold", "diverged"]

RULE = (
    f"A defence holds if the ASR exceeds the clean baseline by at most {points(HOLDS_BELOW)} points, holds "
    f"in part if by at most {points(FAILS_ABOVE)}, and does not hold if by more. The mean over seeds "
    "decides; where the ends of its 95 % interval decide otherwise, that is said. The clean baseline is the "
    "ASR of the same training, with the same settings and seed and under the same defence, without an "
    "attack; where "
    f"it is unknown, that of {NO_DEFENCE} stands in for it, and that is said. The accuracy drop is measured "
    f"against {NO_DEFENCE} that nobody attacks, or, where no such run is known, against the same training "
    f"that nobody attacks; above {points(DEAR_ABOVE)} points it is called high. Where a defence met several "
    "attacks, the one with the highest ASR counts. Where the model of any seed has diverged (it, its "
    "predictions or its loss are not finite, or no reply was), that is said in place of a judgement, and "
    "before all other attacks. Nothing is judged by runs in which nobody attacked or no round moved the "
    "model."
)

MOST_NAMES = 8
"""In the headline, of defences with the same verdict."""

BY_STRENGTH: tuple[Word, ...] = ("holds", "holds in part", "does not hold", "diverged")


@dataclass(frozen=True)
class Verdict:
    """What is said of one case.

    Parameters
    ----------
    case
        What is judged.
    word
        The judgement of the mean, or that a model diverged; None: there is nothing to judge by.
    sentence
        All of it in words.
    """

    case: Case
    word: Word | None
    sentence: str


def judge(comparison: Comparison) -> list[Verdict]:
    """Return a verdict for each defence that was attacked, by its worst attack."""
    attacked = [case for case in comparison.cases if case.attacks is not False]
    by_defence: dict[tuple[str, str], list[Case]] = {}
    for case in attacked:
        by_defence.setdefault((case.defence, case.conditions), []).append(case)
    return [_verdict(worst(cases), cases, comparison) for cases in by_defence.values()]


def worst(cases: Sequence[Case]) -> Case:
    """Return the case in which a model diverged, else the one in which the backdoor opens most often.

    Cases that show something come before all others, and so do finished ones.
    """
    return max(cases, key=_weight)


def headline(verdicts: Sequence[Verdict]) -> str:
    """Return the verdicts in one sentence."""
    if not verdicts:
        return "Nobody attacked, so there is nothing to judge."
    judged = [verdict for verdict in verdicts if verdict.word and not _is_bare(verdict.case)]
    if len(judged) == 1 or len(verdicts) == 1:
        return (judged or verdicts)[0].sentence
    if not judged:
        return "No defence could be judged."
    counts = [_counted(word, [one for one in judged if one.word == word]) for word in BY_STRENGTH]
    things = "case" if any(one.case.conditions for one in judged) else "defence"
    return f"Of {counted(len(judged), things)}, {', '.join(filter(None, counts))}."


def word(excess: float) -> Word:
    """Judge an excess over the clean baseline, a difference of shares."""
    if excess <= HOLDS_BELOW:
        return "holds"
    return "holds in part" if excess <= FAILS_ABOVE else "does not hold"


def excess(case: Case, comparison: Comparison) -> Spread | None:
    """Return by how much the ASR exceeds the clean baseline; None: unknown.

    Of the same seed, if the case knows its own baseline; else of the model without defence or attack.
    """
    own = _difference(case, "attack_success_rate", "clean_attack_success_rate")
    baseline = _undefended(case, comparison, "attack_success_rate")
    if own is not None or baseline is None:
        return own
    return spread([rate - baseline for rate in case.setting.values("attack_success_rate")])


def accuracy_drop(case: Case, comparison: Comparison) -> tuple[float, str] | None:
    """Return the accuracy lost, a difference of shares, and against what; None: unknown."""
    accuracy = case.mean("main_task_accuracy")
    free = _undefended(case, comparison, "main_task_accuracy")
    if accuracy is None:
        return None
    if free is not None:
        return free - accuracy, f"{NO_DEFENCE} that nobody attacks"
    lost = _difference(case, "clean_main_task_accuracy", "main_task_accuracy")
    return (lost.mean, "the same training that nobody attacks") if lost else None


def _verdict(case: Case, cases: Sequence[Case], comparison: Comparison) -> Verdict:
    rate = case.mean("attack_success_rate")
    where = f"Under {_where(case)}"
    among = f"the worst of {counted(len(cases), 'attack')}, " if len(cases) > 1 else ""
    if case.diverged:
        seeds = f"{len(case.diverged)} of {counted(len(case.diverged) + len(case.setting.finished), 'seed')}"
        sentence = f"{where} the model diverged ({among}{case.attack}; {seeds}): nothing is judged by it."
        return Verdict(case, "diverged", sentence)
    if rate is None:
        return Verdict(case, None, f"{where} no run has finished: not judged.")
    if case.nothing_shown:
        return Verdict(case, None, f"{where} {case.nothing_shown} ({case.attack}): not judged.")
    over = excess(case, comparison)
    judged = word(over.mean) if over else None
    seeds = counted(len(case.setting.finished), "seed")
    sentence = (
        f"{where} the backdoor opens in {percent(rate)} of triggered samples ({among}{case.attack}), "
        f"{_baseline(case, comparison)}{_accuracy_drop(case, comparison)} ({seeds}): "
        f"{_conclusion(case, over)}{_dearly(case, comparison, judged)}."
    )
    return Verdict(case, judged, sentence)


def _baseline(case: Case, comparison: Comparison) -> str:
    own = case.mean("clean_attack_success_rate")
    if own is not None:
        return f"against a baseline of {percent(own)}"
    other = _undefended(case, comparison, "attack_success_rate")
    if other is None:
        return "with no clean baseline known"
    return f"against the baseline of {NO_DEFENCE}, {percent(other)}, since its own is unknown"


def _accuracy_drop(case: Case, comparison: Comparison) -> str:
    found = accuracy_drop(case, comparison)
    if found is None:
        return ""
    lost, against = found
    if lost < 0.0005:
        return f", without an accuracy drop against {against}"
    return f", with an accuracy drop of {points(lost)} points against {against}"


def _conclusion(case: Case, over: Spread | None) -> str:
    if over is None:
        return "not judged"
    judged = word(over.mean)
    ends = {word(end) for end in (over.low, over.high) if end is not None} - {judged}
    doubt = f", though its interval over seeds reaches into “{' and '.join(sorted(ends))}”" if ends else ""
    if not _is_bare(case):
        return f"the defence {judged}{doubt}"
    works: dict[Word, str] = {"holds": "fails", "holds in part": "works in part", "does not hold": "works"}
    return f"there is no defence, and the attack {works[judged]}{doubt}"


def _dearly(case: Case, comparison: Comparison, judged: Word | None) -> str:
    found = accuracy_drop(case, comparison)
    high = found is not None and found[0] > DEAR_ABOVE
    return ", and its accuracy drop is high" if high and judged and not _is_bare(case) else ""


def _difference(case: Case, column: str, other: str) -> Spread | None:
    pairs = [(run.final(column), run.final(other)) for run in case.setting.finished]
    known = [one - two for one, two in pairs if one is not None and two is not None]
    return spread(known) if known else None


def _undefended(case: Case, comparison: Comparison, column: str) -> float | None:
    """Return a figure of the model that nobody attacked and nothing defended, otherwise as `case`."""
    same = [other for other in comparison.cases if _is_bare(other) and other.conditions == case.conditions]
    found = [other.mean(column if other.attacks is False else f"clean_{column}") for other in same]
    known = [one for one in found if one is not None]
    return fmean(known) if known else None


def _is_bare(case: Case) -> bool:
    return case.runs[0].strategy == NO_DEFENCE


def _counted(word: Word, verdicts: Sequence[Verdict]) -> str:
    if not verdicts:
        return ""
    plural = {"holds": "hold", "holds in part": "hold in part", "does not hold": "do not hold"}
    names = [_where(verdict.case) for verdict in verdicts]
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    said = word if len(names) == 1 else plural.get(word, word)
    return f"{len(names)} {said} ({', '.join(names[:MOST_NAMES])}{more})"


def _where(case: Case) -> str:
    return case.defence + (f" with {case.conditions}" if case.conditions else "")


def _weight(case: Case) -> tuple[bool, bool, float]:
    rate = case.mean("attack_success_rate")
    return bool(case.diverged), case.nothing_shown is None, -1.0 if rate is None else rate
