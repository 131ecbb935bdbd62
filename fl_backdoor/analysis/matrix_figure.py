"""Heat maps of defences by attacks: ASR on the left, what it costs in accuracy on the right."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fl_backdoor.analysis.matrix import Cell, Matrix
from fl_backdoor.core.foreign_text import printable
from fl_backdoor.runs.figures import new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, MARGIN, ROW = 1400, 260, 28
"""Pixels; a matrix is as high as its margin and its rows."""

MOST_DROP = 20.0
"""Points of accuracy, beyond which all have the darkest colour."""


def draw_matrices(path: Path, matrices: Sequence[Matrix]) -> None:
    """Draw two heat maps for each matrix, below each other.

    Parameters
    ----------
    path
        The PNG, 1400 pixels wide.
    matrices
        At least one.
    """
    heights = [MARGIN + ROW * len(matrix.defences) for matrix in matrices]
    figure = new_figure(WIDTH, sum(heights))
    axes = figure.subplots(len(matrices), 2, squeeze=False, gridspec_kw={"height_ratios": heights})
    for matrix, (left, right) in zip(matrices, axes, strict=True):
        _draw(left, matrix, f"{matrix.where}: ASR (%)", lambda cell: cell.rate, 100.0)
        _draw(right, matrix, "accuracy drop (points)", matrix.accuracy_drop, MOST_DROP)
        right.set_yticklabels([])
    save(figure, path)


def _draw(
    axes: "Axes", matrix: Matrix, title: str, figure_of: Callable[[Cell], float | None], top: float
) -> None:
    values = np.array(
        [[_number(None if cell is None else figure_of(cell)) for cell in row] for row in matrix.rows()],
        dtype=np.float64,
    )
    axes.imshow(values, cmap="cividis_r", vmin=0, vmax=top, aspect="auto")
    axes.set_title(printable(title), fontsize="medium")
    axes.set_xticks(range(len(matrix.attacks)), matrix.attacks, rotation=30, ha="right", fontsize="small")
    axes.set_yticks(range(len(matrix.defences)), matrix.defences, fontsize="small")
    for (row, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            colour = "white" if value > top / 2 else "black"
            axes.text(column, row, f"{value:.1f}", ha="center", va="center", color=colour, fontsize="x-small")


def _number(share: float | None) -> float:
    return np.nan if share is None else 100 * share
