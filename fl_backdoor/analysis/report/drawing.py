"""Figures as files for a paper: the same data drawn by Matplotlib, in a column's and in a page's width."""

import io
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fl_backdoor.analysis.report.figure import Axis, Chart, Figure, Grid, Series, shortened
from fl_backdoor.analysis.report.small_font import families

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

COLUMN, PAGE = 3.5, 7.0
"""Widths in inches."""

SCREEN_DPI = 96
"""What makes a figure's pixels on the page into inches."""

PNG_DPI = 160
MARKERS = {
    "circle": "o",
    "square": "s",
    "triangle": "^",
    "triangle-down": "v",
    "diamond": "D",
    "cross": "X",
    "plus": "P",
    "star": "*",
}
DASHES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.linewidth": 0.6,
    "grid.linewidth": 0.4,
    "pdf.fonttype": 42,  # letters stay letters, as journals ask for
    "text.parse_math": False,  # a dollar sign in a setting is a dollar sign
}


def drawn(figure: Figure) -> dict[str, bytes]:
    """Draw `figure` and return its files by name; the same figure gives the same bytes.

    Returns
    -------
    files
        A PNG in a page's width, and a PDF in each width.
    """
    from matplotlib import rc_context

    with rc_context(STYLE | {"font.family": families()}), warnings.catch_warnings():
        # A letter that no font has is drawn as a box, a figure without room as it goes: that is enough said.
        warnings.filterwarnings("ignore", message="Glyph")
        warnings.filterwarnings("ignore", message="constrained_layout not applied")
        page, column = _draw(figure, PAGE), _draw(figure, COLUMN)
        return {
            f"{figure.name}.png": _saved(page, format="png", dpi=PNG_DPI),
            pdf_name(figure, PAGE): _saved(page, format="pdf", metadata={"CreationDate": None}),
            pdf_name(figure, COLUMN): _saved(column, format="pdf", metadata={"CreationDate": None}),
        }


def pdf_name(figure: Figure, width: float) -> str:
    """Return the name of the file that holds `figure`, `width` inches wide."""
    return f"{figure.name}_{width:g}in.pdf"


def _saved(drawing: "Drawing", **how: object) -> bytes:
    content = io.BytesIO()
    drawing.savefig(content, **how)  # type: ignore[arg-type]
    return content.getvalue()


def _draw(figure: Figure, width: float) -> "Drawing":
    from matplotlib.figure import Figure as Drawing

    height = figure.height / SCREEN_DPI * (1 if width == PAGE else 0.75)
    drawing = Drawing(figsize=(width, height), layout="constrained")
    axes = drawing.add_subplot()
    if isinstance(figure, Chart):
        _draw_chart(axes, figure)
        _legend(drawing, axes, width)
    else:
        _draw_grid(drawing, axes, figure, width)
    # Everything has its place now, which need not be found again for each file.
    drawing.draw_without_rendering()
    drawing.set_layout_engine("none")
    return drawing


def _draw_chart(axes: "Axes", chart: Chart) -> None:
    for series in chart.series:
        _draw_series(axes, chart, series)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    _dress(axes, chart.x, "x")
    _dress(axes, chart.y, "y")


def _draw_series(axes: "Axes", chart: Chart, series: Series) -> None:
    look = series.look
    x, y = _shown(chart.x, series.x), _shown(chart.y, series.y)
    axes.plot(
        x,
        y,
        linestyle=DASHES[look.dash] if look.dash else "none",
        linewidth=1.2 if look.marker else 0.9,
        marker=MARKERS[look.marker] if look.marker else "none",
        # Plotly counts pixels, Matplotlib points, of which there are 72 to an inch.
        markersize=0.6 * look.size,
        markerfacecolor="none" if look.hollow else look.colour,
        markeredgecolor=look.colour,
        markeredgewidth=1 if look.hollow else 0,
        color=look.colour,
        alpha=look.opacity,
        label=shortened(series.label) if series.in_legend else "_",
    )
    if series.x_low:
        _draw_bars(axes, chart, series)
    elif series.low:
        low, high = _shown(chart.y, series.low), _shown(chart.y, series.high)
        axes.fill_between(x, low, high, color=look.colour, alpha=0.16, linewidth=0)


def _draw_bars(axes: "Axes", chart: Chart, series: Series) -> None:
    colour = series.look.colour
    x, y = _shown(chart.x, series.x), _shown(chart.y, series.y)
    axes.hlines(y, _shown(chart.x, series.x_low), _shown(chart.x, series.x_high), color=colour, linewidth=0.9)
    axes.vlines(x, _shown(chart.y, series.low), _shown(chart.y, series.high), color=colour, linewidth=0.9)


def _dress(axes: "Axes", axis: Axis, which: str) -> None:
    side = axes.xaxis if which == "x" else axes.yaxis
    side.set_label_text(shortened(axis.label))
    if axis.percent and axis.full:
        side.set_ticks(range(0, 101, 20))
        (axes.set_xlim if which == "x" else axes.set_ylim)(-2, 102)
    if axis.ticks:
        side.set_ticks([at for at, _ in axis.ticks], [shortened(text) for _, text in axis.ticks])
    elif axis.whole:
        from matplotlib.ticker import MaxNLocator

        side.set_major_locator(MaxNLocator(integer=True))


def _legend(drawing: "Drawing", axes: "Axes", width: float) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if not handles:
        return
    longest = max(len(label) for label in labels)
    # A letter is about 0.06 inches wide, a line's picture 0.5.
    columns = max(1, min(4, int(width / (0.5 + 0.06 * longest))))
    drawing.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=7)


def _draw_grid(drawing: "Drawing", axes: "Axes", grid: Grid, width: float) -> None:
    import numpy as np

    factor = 100 if grid.percent else 1
    values = np.array(
        [[np.nan if value is None else factor * value for value in line] for line in grid.values], dtype=float
    )
    picture = axes.imshow(values, cmap="cividis_r", vmin=0, vmax=factor * grid.top, aspect="auto")
    drawing.colorbar(picture, ax=axes, label=f"{grid.value} (%)" if grid.percent else grid.value)
    axes.set_xticks(range(len(grid.columns)), list(map(shortened, grid.columns)), rotation=30, ha="right")
    axes.set_yticks(range(len(grid.rows)), list(map(shortened, grid.rows)))
    axes.set_xlabel(grid.column)
    axes.set_ylabel(grid.row)
    if grid.has_room:
        _write_values(axes, grid, size=min(7.0, 60 * width / 7 / len(grid.columns)))


def _write_values(axes: "Axes", grid: Grid, size: float) -> None:
    for row, line in enumerate(grid.values):
        for column, value in enumerate(line):
            dark = value is not None and value > grid.top / 2
            colour = "white" if dark else "black"
            axes.text(column, row, grid.text(value), ha="center", va="center", color=colour, fontsize=size)


def _shown(axis: Axis, values: Sequence[float]) -> list[float]:
    return [100 * value for value in values] if axis.percent else list(values)
