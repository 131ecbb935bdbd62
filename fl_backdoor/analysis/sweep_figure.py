"""Backdoor success and accuracy against α, a line for each strategy of a sweep."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import cycle
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from fl_backdoor.core.table import Row, number
from fl_backdoor.runs.figures import OKABE_ITO, new_figure, percent_axis, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

WIDTH, HEIGHT = 1200, 640
"""Pixels."""

FIGURES: tuple[tuple[str, str, Literal["-", "--", ":"]], ...] = (
    ("success_rate", "success rate (SR)", "-"),
    ("attack_success_rate", "attack success rate (ASR)", "--"),
    ("main_task_accuracy", "main-task accuracy", ":"),
)
"""Column, text and line style."""

BASELINE_WIDTH = 0.7
"""Of the line at a clean model's SR, in points."""

MOST_LINES = len(OKABE_ITO)

Groups = Mapping[str, Sequence[Row]]
"""Rows of the table by the label of their line."""


class Point(NamedTuple):
    """One figure at one α over the runs of a line, shares in [0, 1]."""

    alpha: float
    mean: float
    low: float
    high: float


def draw_sweep(path: Path, rows: Sequence[Row], differing: Sequence[str], num_diverged: int = 0) -> None:
    """Draw SR (solid), ASR (dashed) and accuracy (dotted) against α, a clean model's SR as a thin line.

    Points are means over the seeds, bands go from the lowest to the highest.

    Parameters
    ----------
    path
        The PNG, 1200x640 pixels.
    rows
        Rows of ``sweep.csv``, at least one.
    differing
        Settings that differ between the runs, beside data set, strategy, α, number of attackers and seed.
    num_diverged
        Runs that are left out since they have diverged; the title says so.
    """
    groups, pooled = group(rows, ("dataset", "attack.num_malicious", *differing))
    colours = dict(zip(groups, cycle(OKABE_ITO), strict=False))
    figure = new_figure(WIDTH, HEIGHT)
    axes = figure.add_subplot()
    for label, members in groups.items():
        for column, _, style in FIGURES:
            _draw_line(axes, points(members, column), colours[label], style)
        _draw_baseline(axes, members, colours[label])
    left_out = f" · {num_diverged} diverged, left out" if num_diverged else ""
    axes.set_title(_title(rows, pooled) + left_out)
    axes.set_ylabel("share of test samples (%)")
    percent_axis(axes)
    _alpha_axis(axes, sorted({alpha for row in rows if (alpha := number(row["attack.alpha"])) is not None}))
    handles = _legend(colours)
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize="small")
    save(figure, path)


def _title(rows: Sequence[Row], pooled: Sequence[str]) -> str:
    datasets, seeds = (sorted({str(row[name]) for row in rows}) for name in ("dataset", "seed"))
    over = pooled if len(seeds) == 1 else ("seeds", *pooled)
    spread = f"mean and range over {', '.join(over)}" if over else f"one run a point, seed {seeds[0]}"
    return f"{', '.join(datasets)} · {spread}"


def group(rows: Sequence[Row], settings: Sequence[str]) -> tuple[Groups, tuple[str, ...]]:
    """Sort rows into lines: by strategy, and by further settings unless that makes too many lines.

    Returns
    -------
    groups
        Rows by the label of their line.
    pooled
        The settings that differ within a line, because there are too many lines otherwise.
    """
    by_strategy = _by(rows, lambda row: str(row["strategy"]))
    groups: dict[str, Sequence[Row]] = {}
    varying: dict[str, None] = {}
    for members in by_strategy.values():
        names = [name for name in settings if len({repr(row[name]) for row in members}) > 1]
        varying |= dict.fromkeys(names)
        groups |= _by(members, partial(_label, names=names))
    if len(groups) <= MOST_LINES:
        return groups, ()
    return by_strategy, tuple(varying)


def points(rows: Iterable[Row], name: str) -> list[Point]:
    """Return mean, lowest and highest of a figure at each α, by α; unknown figures are left out."""
    found: defaultdict[float, list[float]] = defaultdict(list)
    for row in rows:
        alpha, share = number(row["attack.alpha"]), number(row[name])
        if alpha is not None and share is not None:
            found[alpha].append(share)
    return [
        Point(alpha, fmean(found[alpha]), min(found[alpha]), max(found[alpha])) for alpha in sorted(found)
    ]


def _by(rows: Iterable[Row], label: Callable[[Row], str]) -> dict[str, list[Row]]:
    groups: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[label(row)].append(row)
    return dict(groups)


def _label(row: Row, names: Sequence[str]) -> str:
    return ", ".join([str(row["strategy"]), *(f"{name}={row[name]}" for name in names)])


def _draw_line(axes: "Axes", line: Sequence[Point], colour: str, style: str) -> None:
    alphas = [100 * point.alpha for point in line]
    means = [100 * point.mean for point in line]
    axes.plot(alphas, means, style, color=colour, marker="o", markersize=5, clip_on=False)
    if any(point.low < point.high for point in line):
        low, high = [100 * point.low for point in line], [100 * point.high for point in line]
        axes.fill_between(alphas, low, high, color=colour, alpha=0.15, linewidth=0)


def _draw_baseline(axes: "Axes", rows: Iterable[Row], colour: str) -> None:
    known = [share for row in rows if (share := number(row["clean_success_rate"])) is not None]
    if known:
        axes.axhline(100 * fmean(known), color=colour, linewidth=BASELINE_WIDTH)


def _alpha_axis(axes: "Axes", alphas: Sequence[float]) -> None:
    """Mark the values of α in use; the square root keeps 0, 2 and 5.2 % apart where 30 % is there too."""
    shown = [100 * alpha for alpha in alphas]
    axes.set_xscale("function", functions=(lambda x: np.sqrt(np.maximum(x, 0)), np.square))
    axes.set_xlim(0, max([1.0, *shown]))
    axes.set_xticks(shown, labels=[f"{alpha:g}" for alpha in shown])
    axes.set_xlabel("poison ratio α (% of a malicious client's batch), square-root scale")


def _legend(colours: Mapping[str, str]) -> list["Line2D"]:
    """Explain colours, then line styles, then the thin line."""
    from matplotlib.lines import Line2D

    grey = "#555555"
    return [
        *(Line2D([], [], color=colour, marker="o", label=label) for label, colour in colours.items()),
        *(Line2D([], [], color=grey, linestyle=style, label=text) for _, text, style in FIGURES),
        Line2D([], [], color=grey, linewidth=BASELINE_WIDTH, label="SR of a clean model"),
    ]
