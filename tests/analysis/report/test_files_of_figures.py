"""The same figure as numbers, for the page and for a paper."""

import csv
import io
import json
import re

import plotly.graph_objects
import pytest
from PIL import Image

from fl_backdoor.analysis.report.drawing import drawn
from fl_backdoor.analysis.report.figure import LOOKS, Axis, Chart, Grid, Look, Series, renamed
from fl_backdoor.analysis.report.interactive import as_plotly
from fl_backdoor.analysis.report.numbers import csv as numbers
from fl_backdoor.analysis.report.sections.plots import files, plot

HOSTILE = "</script><script>alert(1)</script>"

CHART = Chart(
    "some_chart",
    "A title",
    "A caption.",
    Axis("round", "round", whole=True),
    Axis("share", "share (%)", percent=True),
    (
        Series("line & band", LOOKS[0], [0, 1], [0.1, 0.5], [0.05, 0.4], [0.2, 0.6]),
        Series(
            f"points {HOSTILE} $x^", Look("#000000", "star", hollow=True), [1], [0.25], names=["<b>one</b>"]
        ),
        Series("quiet", Look("#000000", dash="dot"), [0, 1], [0.0, 0.0], in_legend=False),
    ),
)
GRID = Grid(
    "some_grid",
    "A title",
    "A caption.",
    "client",
    "class",
    "samples",
    ("0", HOSTILE),
    ("cat", "$dog"),
    ((5, None), (1, 7)),
)


def rows_of(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode())))


def test_numbers_of_a_chart_stay_as_they_are():
    assert rows_of(numbers(CHART)) == [
        ["series", "name", "round", "share", "low", "high"],
        ["line & band", "", "0", "0.1", "0.05", "0.2"],
        ["line & band", "", "1", "0.5", "0.4", "0.6"],
        [f"points {HOSTILE} $x^", "<b>one</b>", "1", "0.25", "", ""],
        ["quiet", "", "0", "0.0", "", ""],
        ["quiet", "", "1", "0.0", "", ""],
    ]


def test_numbers_of_a_grid():
    assert rows_of(numbers(GRID)) == [
        ["client", "class", "samples"],
        ["0", "cat", "5"],
        ["0", "$dog", ""],
        [HOSTILE, "cat", "1"],
        [HOSTILE, "$dog", "7"],
    ]


@pytest.mark.parametrize("figure", [CHART, GRID], ids=["chart", "grid"])
def test_plotly_takes_the_figure(figure):
    found = as_plotly(figure)
    assert len(plotly.graph_objects.Figure(found).data) == len(found["data"])
    assert "<script" not in json.dumps(found)


def test_plotly_shows_shares_in_per_cent():
    band, line, points, _ = as_plotly(CHART)["data"]
    assert line["y"] == [10, 50]
    assert (band["x"], band["y"]) == ([0, 1, 1, 0], [20, 60, 40, 5])
    assert points["text"] == ["&lt;b&gt;one&lt;/b&gt;"]
    assert points["marker"]["symbol"] == "star-open"
    assert [trace["showlegend"] for trace in (band, line, points)] == [False, True, True]


@pytest.mark.parametrize(("last", "step"), [(1, 1), (3, 1), (10, 1), (16, 2), (60, 10), (10_000, 1000)])
def test_rounds_are_counted_in_whole_steps(last, step):
    line = Series("line", LOOKS[0], [0, last], [0.0, 1.0])
    layout = as_plotly(Chart("c", "", "", CHART.x, CHART.y, (line,)))["layout"]
    assert (layout["xaxis"]["tick0"], layout["xaxis"]["dtick"]) == (0, step)


def test_bars_are_counted_from_the_middle():
    ends = {"low": [0.25], "high": [1.0], "x_low": [1.0], "x_high": [4.0]}
    bars = Chart("b", "", "", CHART.x, CHART.y, (Series("s", LOOKS[0], [2], [0.5], **ends),))
    [trace] = as_plotly(bars)["data"]
    assert (trace["error_x"]["array"], trace["error_x"]["arrayminus"]) == ([2], [1])
    assert (trace["error_y"]["array"], trace["error_y"]["arrayminus"]) == ([50], [25])


@pytest.mark.parametrize("figure", [CHART, GRID], ids=["chart", "grid"])
def test_files_for_a_paper_have_its_widths(figure):
    made = drawn(figure)
    name = figure.name
    assert made.keys() == {f"{name}.png", f"{name}_3.5in.pdf", f"{name}_7in.pdf"}
    assert Image.open(io.BytesIO(made[f"{name}.png"])).width == 7 * 160
    for inches, points in (("3.5", 252), ("7", 504)):
        box = re.search(rb"/MediaBox \[\s*0 0 ([\d.]+) ([\d.]+)", made[f"{name}_{inches}in.pdf"])
        assert box is not None
        assert float(box[1]) == points


def test_the_same_figure_gives_the_same_bytes():
    assert files(CHART) == files(CHART)


def test_the_drawing_has_the_lines():
    def dark_pixels(figure):
        return sum(Image.open(io.BytesIO(drawn(figure)["some_chart.png"])).convert("L").histogram()[:160])

    bare = Chart("some_chart", "", "", CHART.x, CHART.y, (CHART.series[2],))
    assert dark_pixels(CHART) > dark_pixels(bare) + 500


def test_a_figure_on_the_page_carries_its_files_and_escapes_its_texts():
    shown = plot(CHART, files(CHART))
    assert shown.count("</script>") == 1
    assert "alert(1)</script>" not in shown
    for ending in ("_3.5in.pdf", "_7in.pdf", ".csv"):
        assert f'download="some_chart{ending}"' in shown
    assert shown.count("data:application/pdf;base64,JVBERi0") == 2
    assert 'aria-label="A title. A caption."' in shown


def test_names_of_their_own():
    assert [renamed(figure, "run1").name for figure in (CHART, GRID)] == ["run1_some_chart", "run1_some_grid"]
