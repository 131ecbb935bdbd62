"""A figure on the page: interactive, with what is needed to take it into a paper."""

import base64
import json

from fl_backdoor.analysis.report import drawing
from fl_backdoor.analysis.report.figure import Figure
from fl_backdoor.analysis.report.html import Html, element
from fl_backdoor.analysis.report.interactive import as_plotly
from fl_backdoor.analysis.report.numbers import csv

WIDTHS = (drawing.COLUMN, drawing.PAGE)


def files(figure: Figure) -> dict[str, bytes]:
    """Return the files of a figure by name: its numbers, a PNG, and a PDF in each width."""
    return {f"{figure.name}.csv": csv(figure)} | drawing.drawn(figure)


def plot(figure: Figure, made: dict[str, bytes]) -> Html:
    """Return the figure as the page shows it; `made` are its files, which the page carries with it."""
    return element(
        "figure",
        element("h3", figure.title),
        element("div", class_="plot", role="img", aria_label=f"{figure.title}. {figure.caption}"),
        element("script", _json(as_plotly(figure)), type="application/json"),
        element("figcaption", figure.caption),
        _saving(figure, made),
        data_name=figure.name,
        data_height=str(figure.height),
    )


def embedded(content: bytes, kind: str) -> str:
    """Return `content` as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _saving(figure: Figure, made: dict[str, bytes]) -> Html:
    vector = [
        element("button", f"SVG {width:g} in", type="button", data_inches=str(width)) for width in WIDTHS
    ]
    paper = [
        _download(f"PDF {width:g} in", drawing.pdf_name(figure, width), made, "application/pdf")
        for width in WIDTHS
    ]
    numbers = _download("CSV", f"{figure.name}.csv", made, "text/csv")
    return element("p", "Save: ", *vector, *paper, numbers, class_="save")


def _download(text: str, name: str, made: dict[str, bytes], kind: str) -> Html:
    return element("a", text, href=embedded(made[name], kind), download=name)


def _json(found: object) -> Html:
    """Return JSON that cannot end the script that it stands in."""
    return Html(json.dumps(found, separators=(",", ":")).replace("<", "\\u003c"))
