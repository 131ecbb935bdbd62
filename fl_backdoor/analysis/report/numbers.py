"""The numbers of a figure as CSV, as they are: shares stay shares."""

from collections.abc import Sequence

from fl_backdoor.analysis.report.figure import Chart, Figure, Grid
from fl_backdoor.core import table


def csv(figure: Figure) -> bytes:
    """Return a line a point, or a line a cell, under a header."""
    columns, rows = _chart(figure) if isinstance(figure, Chart) else _grid(figure)
    return table.header(columns) + table.lines(
        [dict(zip(columns, row, strict=True)) for row in rows], columns
    )


def _chart(chart: Chart) -> tuple[tuple[str, ...], list[Sequence[table.Cell]]]:
    columns = ("series", "name", chart.x.column, chart.y.column, "low", "high")
    nothing = [None] * max(len(series.x) for series in chart.series)
    rows: list[Sequence[table.Cell]] = []
    for series in chart.series:
        names, low, high = (found or nothing for found in (series.names, series.low, series.high))
        points = zip(series.x, series.y, names, low, high, strict=False)
        rows += [(series.label, name, x, y, low, high) for x, y, name, low, high in points]
    return columns, rows


def _grid(grid: Grid) -> tuple[tuple[str, ...], list[Sequence[table.Cell]]]:
    rows: list[Sequence[table.Cell]] = [
        (row, column, value)
        for row, line in zip(grid.rows, grid.values, strict=True)
        for column, value in zip(grid.columns, line, strict=True)
    ]
    return (grid.row, grid.column, grid.value), rows
