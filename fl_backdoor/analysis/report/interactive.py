"""Figures as Plotly takes them: plain dictionaries, so that Plotly itself is needed in the browser alone."""

from collections.abc import Sequence
from html import escape
from typing import Any

from fl_backdoor.analysis.report.figure import Axis, Chart, Figure, Grid, Series, shortened

SYMBOLS = {"triangle": "triangle-up", "cross": "x", "plus": "cross"}
"""Plotly's names, where they are others than ours."""

LINE = "#d9d9d9"
FONT = {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 13, "color": "#1f2328"}
LAYOUT = {
    "font": FONT,
    "paper_bgcolor": "#ffffff",
    "plot_bgcolor": "#ffffff",
    "margin": {"l": 56, "r": 14, "t": 30, "b": 52},
    "hovermode": "closest",
}
LEGEND = {"orientation": "h", "x": 0, "xanchor": "left", "yref": "container", "y": 0, "yanchor": "bottom"}

STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
MOST_TICKS = 10

Trace = dict[str, Any]


def as_plotly(figure: Figure) -> dict[str, Any]:
    """Return traces and layout; texts are escaped, since Plotly reads a kind of HTML."""
    return _chart(figure) if isinstance(figure, Chart) else _grid(figure)


def _chart(chart: Chart) -> dict[str, Any]:
    traces = [
        trace for group, series in enumerate(chart.series) for trace in _traces(chart, series, f"g{group}")
    ]
    layout = LAYOUT | {
        "height": chart.height,
        "xaxis": _axis(chart.x) | _whole_ticks(chart),
        "yaxis": _axis(chart.y),
        "legend": LEGEND,
        "showlegend": any(series.in_legend for series in chart.series),
    }
    return {"data": traces, "layout": layout}


def _traces(chart: Chart, series: Series, group: str) -> list[Trace]:
    main = _points(chart, series) | {"legendgroup": group}
    if series.x_low:
        x = _bars(chart.x, series.x, series.x_low, series.x_high)
        y = _bars(chart.y, series.y, series.low, series.high)
        return [main | {"error_x": x, "error_y": y}]
    if not series.low:
        return [main]
    return [_spread(chart, series) | {"legendgroup": group}, main]


def _points(chart: Chart, series: Series) -> Trace:
    look = series.look
    modes = [*(["lines"] if look.dash else []), *(["markers"] if look.marker else [])]
    trace: Trace = {
        "type": "scatter",
        "mode": "+".join(modes),
        "name": _text(series.label),
        "x": _shown(chart.x, series.x),
        "y": _shown(chart.y, series.y),
        "opacity": look.opacity,
        "showlegend": series.in_legend,
        "hovertemplate": _hover(chart, series),
    }
    if series.names:
        trace["text"] = [_text(name) for name in series.names]
    if look.dash:
        trace["line"] = {"color": look.colour, "dash": look.dash, "width": 2 if look.marker else 1.5}
    if look.marker:
        symbol = SYMBOLS.get(look.marker, look.marker) + ("-open" if look.hollow else "")
        outline = {"width": 2, "color": look.colour} if look.hollow else {"width": 0}
        trace["marker"] = {"color": look.colour, "symbol": symbol, "size": look.size, "line": outline}
    return trace


def _spread(chart: Chart, series: Series) -> Trace:
    """Return the band from `low` to `high` as one closed line."""
    red, green, blue = (int(series.look.colour[at : at + 2], 16) for at in (1, 3, 5))
    x, low, high = _shown(chart.x, series.x), _shown(chart.y, series.low), _shown(chart.y, series.high)
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [*x, *reversed(x)],
        "y": [*high, *reversed(low)],
        "fill": "toself",
        "fillcolor": f"rgba({red},{green},{blue},0.16)",
        "line": {"width": 0},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _bars(axis: Axis, middle: Sequence[float], low: Sequence[float], high: Sequence[float]) -> Trace:
    """Return bars from `low` to `high`, which Plotly counts from the middle."""
    unit = 100 if axis.percent else 1
    up = [unit * (end - value) for end, value in zip(high, middle, strict=True)]
    down = [unit * (value - end) for end, value in zip(low, middle, strict=True)]
    return {"type": "data", "symmetric": False, "array": up, "arrayminus": down, "thickness": 1.2, "width": 4}


def _hover(chart: Chart, series: Series) -> str:
    name = "%{text}<br>" if series.names else ""
    x = _value("x", chart.x)
    y = _value("y", chart.y)
    return (
        f"{name}{_text(chart.x.label)}: {x}<br>{_text(chart.y.label)}: {y}<extra>%{{fullData.name}}</extra>"
    )


def _value(which: str, axis: Axis) -> str:
    if axis.percent:
        return f"%{{{which}:.1f}} %"
    return f"%{{{which}}}" if axis.ticks or axis.whole else f"%{{{which}:.4g}}"


def _shown(axis: Axis, values: Sequence[float]) -> list[float]:
    return [100 * value for value in values] if axis.percent else list(values)


def _axis(axis: Axis) -> dict[str, Any]:
    layout: dict[str, Any] = {
        "title": {"text": _text(axis.label), "standoff": 8},
        "automargin": True,
        "zeroline": False,
        "gridcolor": LINE,
        "linecolor": LINE,
        "ticks": "outside",
        "tickcolor": LINE,
    }
    if axis.percent and axis.full:
        layout |= {"range": [-3, 103], "dtick": 20}
    if axis.ticks:
        layout |= {
            "tickvals": [at for at, _ in axis.ticks],
            "ticktext": [_text(text) for _, text in axis.ticks],
        }
    return layout


def _whole_ticks(chart: Chart) -> dict[str, Any]:
    """Return steps between whole numbers, so that there are about ten."""
    if not chart.x.whole:
        return {}
    values = [value for series in chart.series for value in series.x]
    span = max(values) - min(values)
    return {"tick0": 0, "dtick": next((step for step in STEPS if span / step <= MOST_TICKS), STEPS[-1])}


def _grid(grid: Grid) -> dict[str, Any]:
    unit = " %" if grid.percent else ""
    factor = 100 if grid.percent else 1
    trace: Trace = {
        "type": "heatmap",
        "x": list(range(len(grid.columns))),
        "y": list(range(len(grid.rows))),
        "z": [[None if value is None else factor * value for value in line] for line in grid.values],
        "zmin": 0,
        "zmax": factor * grid.top,
        "colorscale": "Cividis",
        "reversescale": True,
        "xgap": 1,
        "ygap": 1,
        "hoverongaps": False,
        "colorbar": {"ticksuffix": unit, "thickness": 12, "outlinewidth": 0},
        "customdata": [[f"{_text(row)}<br>{_text(column)}" for column in grid.columns] for row in grid.rows],
        "hovertemplate": f"%{{customdata}}<br>{_text(grid.value)}: %{{z:.4g}}{unit}<extra></extra>",
    }
    if grid.has_room:
        trace |= {
            "text": [[grid.text(value) for value in line] for line in grid.values],
            "texttemplate": "%{text}",
        }
    x = _axis(Axis("", grid.column, ticks=tuple(enumerate(grid.columns))))
    y = _axis(Axis("", grid.row, ticks=tuple(enumerate(grid.rows))))
    bare = {"showgrid": False, "ticks": ""}
    layout = LAYOUT | {
        "height": grid.height,
        "xaxis": x | bare,
        "yaxis": y | bare | {"autorange": "reversed"},
    }
    return {"data": [trace], "layout": layout}


def _text(text: str) -> str:
    return escape(shortened(text))
