"""How large updates are, and how far from each other, by round, with the attackers' marked."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from fl_backdoor.analysis.report.figure import Axis, Chart, Look, Series
from fl_backdoor.core.table import Row, number
from fl_backdoor.runs.figures import OKABE_ITO
from fl_backdoor.runs.run import Run

FIGURES = {
    "update_norm": ("Norm of the updates", "‖Δ‖₂"),
    "mean_distance": ("Mean distance to the other updates", "mean L2 distance"),
}

MOST_POINTS = 1500
"""Benign clients' updates in all rounds together; with more, only their quartiles are drawn."""

BENIGN, ATTACKING = OKABE_ITO[0], OKABE_ITO[1]

ROUND = Axis("server_round", "round", whole=True)


def update_sizes(run: Run) -> list[Chart]:
    """Return a figure for each size that the run's table of clients knows."""
    return [chart for column in FIGURES for chart in _chart(run, column)]


def _chart(run: Run, column: str) -> list[Chart]:
    known = [row for row in run.clients if number(row[column]) is not None]
    if not known:
        return []
    title, label = FIGURES[column]
    benign = [row for row in known if row["attacking"] is not True and row["malicious"] is not True]
    shown = benign if len(benign) <= MOST_POINTS else []
    idle = [row for row in known if row["malicious"] is True and row["attacking"] is not True]
    attacking = [row for row in known if row["attacking"] is True]
    series = [
        *_quartiles(benign, column),
        *_points("benign client", Look(BENIGN, "circle", size=5, opacity=0.55), shown, column),
        *_points("malicious, not attacking", Look(ATTACKING, "triangle", size=9, hollow=True), idle, column),
        *_points("attacking", Look(ATTACKING, "triangle", size=9), attacking, column),
    ]
    left_out = "" if shown or not benign else " Single benign clients are left out: there are too many."
    return [
        Chart(
            f"{column}_by_round",
            title,
            "A point for each client and round; the line is the median of the benign clients, the band goes "
            f"from their lower to their upper quartile.{left_out}",
            ROUND,
            Axis(column, label),
            tuple(series),
        )
    ]


def _points(label: str, look: Look, rows: Sequence[Row], column: str) -> list[Series]:
    if not rows:
        return []
    names = [f"client {row['client_id']}" for row in rows]
    x = [number(row["server_round"]) or 0 for row in rows]
    return [Series(label, look, x, [number(row[column]) or 0.0 for row in rows], names=names)]


def _quartiles(rows: Sequence[Row], column: str) -> list[Series]:
    by_round: defaultdict[float, list[float]] = defaultdict(list)
    for row in rows:
        by_round[number(row["server_round"]) or 0].append(number(row[column]) or 0.0)
    rounds = sorted(by_round)
    if not rounds:
        return []
    found = np.array([np.quantile(by_round[at], (0.25, 0.5, 0.75)) for at in rounds]).tolist()
    low, middle, high = zip(*found, strict=True)
    return [Series("benign, median and quartiles", Look(BENIGN, dash="solid"), rounds, middle, low, high)]
