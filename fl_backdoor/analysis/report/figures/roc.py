"""How well an attacker can be told by a single score, and where the defence itself stands."""

from collections.abc import Sequence
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.analysis.report.figure import GREY, LOOKS, Axis, Chart, Look, Series
from fl_backdoor.analysis.report.words import percent
from fl_backdoor.core.table import Row, number
from fl_backdoor.runs.run import Run

SCORES = {"update_norm": "update norm", "gradient_norm": "gradient norm", "mean_distance": "mean distance"}

Rates = NDArray[np.float64]


def roc(run: Run) -> list[Chart]:
    """Return a curve for each score, rounds pooled; nothing unless somebody attacked and somebody did not.

    As in ``summary.json``, it is over client-rounds, see `metrics.detection`: usable replies of clients that
    attacked in the round against those of benign clients.
    """
    judged = [row for row in run.clients if row["rejected"] is None and not _is_idle(row)]
    series = [
        found
        for (column, name), look in zip(SCORES.items(), LOOKS, strict=False)
        for found in _curve(judged, column, name, look)
    ]
    if not series:
        return []
    chance = Series("chance", Look(GREY, dash="dot"), [0.0, 1.0], [0.0, 1.0])
    return [
        Chart(
            "detection_roc",
            "Can an attacker be told by its update?",
            "Detection ROC over client-rounds: true against false positive rate when the replies with the "
            "highest score are taken for attacks, all rounds pooled; replies of attackers in rounds in which "
            "they do not attack are left out. AUC is the chance that an attack scores higher than a benign "
            f"client’s reply; below 0.5 attacks score lower.{_told(judged)}",
            Axis("false_positive_rate", "false positive rate, client-rounds (%)", percent=True),
            Axis("true_positive_rate", "true positive rate, client-rounds (%)", percent=True),
            (chance, *series, *_operating_point(judged)),
        )
    ]


def _is_idle(row: Row) -> bool:
    """Return whether a malicious client did not attack in this round, or nothing is known of it."""
    return row["attacking"] is not True and row["malicious"] is not False


def curve(scores: Rates, attacking: NDArray[np.bool_]) -> tuple[Rates, Rates]:
    """Return false and true positive rates at every threshold, from (0, 0) to (1, 1).

    Parameters
    ----------
    scores
        Finite, float64 ``(n,)``; equal scores share one threshold.
    attacking
        Bool ``(n,)``, at least one true and one false.
    """
    order = np.argsort(-scores, kind="stable")
    last_of_ties = np.append(np.diff(scores[order]) != 0, True)
    hits = np.cumsum(attacking[order])[last_of_ties]
    alarms = np.cumsum(~attacking[order])[last_of_ties]
    return np.append(0.0, alarms / alarms[-1]), np.append(0.0, hits / hits[-1])


def area(false_positive_rate: Rates, true_positive_rate: Rates) -> float:
    """Return the area under a curve of `curve`, in [0, 1]."""
    return float(np.trapezoid(true_positive_rate, false_positive_rate))


def _curve(judged: Sequence[Row], column: str, name: str, look: Look) -> list[Series]:
    known = [
        (score, row["attacking"] is True) for row in judged if (score := number(row[column])) is not None
    ]
    scores, attacking = np.array([score for score, _ in known]), np.array([found for _, found in known], bool)
    if not attacking.any() or attacking.all():
        return []
    x, y = curve(scores, attacking)
    label = f"{name} (AUC {area(x, y):.3f})"
    return [Series(label, Look(look.colour, dash=look.dash), x.tolist(), y.tolist())]


def _operating_point(judged: Sequence[Row]) -> list[Series]:
    """Return where the defence stands by whom it flagged; nothing where that is unknown."""
    rates = _flagged_rates(judged)
    if rates is None:
        return []
    x, y = rates
    return [Series("the defence itself", Look("#000000", "star", size=15), [x], [y])]


def _told(judged: Sequence[Row]) -> str:
    rates = _flagged_rates(judged)
    if rates is None:
        return ""
    benign, attacks = map(percent, rates)
    return (
        f" The star is the defence itself: it flagged {attacks} of the attacks, {benign} of the benign "
        "clients’ replies."
    )


def _flagged_rates(judged: Sequence[Row]) -> tuple[float, float] | None:
    known = [row for row in judged if isinstance(row["flagged"], bool)]
    attackers = [row["flagged"] is True for row in known if row["attacking"] is True]
    benign = [row["flagged"] is True for row in known if row["attacking"] is not True]
    return (fmean(benign), fmean(attackers)) if attackers and benign else None
