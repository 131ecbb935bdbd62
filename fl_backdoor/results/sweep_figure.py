"""Backdoor success and accuracy against α, a line for each strategy of a sweep."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from fl_backdoor.results.figures import OKABE_ITO, new_figure, percent_axis, save
from fl_backdoor.results.table import Row, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 1200, 640
"""Pixels."""

MOST_LINES = len(OKABE_ITO)

Groups = Mapping[str, Sequence[Row]]
"""Rows of the table by the label of their line."""


class Point(NamedTuple):
    """One figure at one α over the runs of a line, shares in [0, 1]."""

    alpha: float
    mean: float
    low: float
    high: float


def draw_sweep(path: Path, rows: Sequence[Row], differing: Sequence[str]) -> None:
    """Draw SR (solid), ASR (dashed) and the clean model's SR (dotted), and beside them accuracy.

    Parameters
    ----------
    path
        The PNG, 1200x640 pixels.
    rows
        Rows of ``sweep.csv``, at least one.
    differing
        Settings that differ between the runs, beside data set, strategy, α, number of attackers and seed.
    """
    groups, pooled = group(rows, ("dataset", "attack.num_malicious", *differing))
    figure = new_figure(WIDTH, HEIGHT)
    success, accuracy = figure.subplots(1, 2, sharex=True)
    colours = (OKABE_ITO[place % len(OKABE_ITO)] for place in range(len(groups)))
    for (label, members), colour in zip(groups.items(), colours, strict=True):
        _draw_line(success, points(members, "success_rate"), colour, "-", label)
        _draw_line(success, points(members, "attack_success_rate"), colour, "--")
        _draw_line(accuracy, points(members, "main_task_accuracy"), colour, "-")
        _draw_floor(success, members, colour)
    _caption(
        success, "Backdoor: SR solid, ASR dashed,\nSR of a clean model dotted", "triggered test images (%)"
    )
    _caption(accuracy, "Main-task accuracy", "clean test images (%)")
    figure.suptitle(f"Mean and range over {', '.join(('seeds', *pooled))}", fontsize="medium")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize="small")
    save(figure, path)


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


def _draw_line(
    axes: "Axes", line: Sequence[Point], colour: str, style: str, label: str | None = None
) -> None:
    alphas = [point.alpha for point in line]
    means = [100 * point.mean for point in line]
    axes.plot(alphas, means, color=colour, linestyle=style, marker="o", markersize=5, label=label)
    if any(point.low < point.high for point in line):
        low, high = [100 * point.low for point in line], [100 * point.high for point in line]
        axes.fill_between(alphas, low, high, color=colour, alpha=0.15, linewidth=0)


def _draw_floor(axes: "Axes", rows: Iterable[Row], colour: str) -> None:
    known = [share for row in rows if (share := number(row["clean_success_rate"])) is not None]
    if known:
        axes.axhline(100 * fmean(known), color=colour, linestyle=":")


def _caption(axes: "Axes", title: str, unit: str) -> None:
    axes.set_title(title, fontsize="medium")
    axes.set_xlabel("poison ratio α (share of a malicious client's batch)")
    axes.set_ylabel(unit)
    percent_axis(axes)
