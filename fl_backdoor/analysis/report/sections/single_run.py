"""One run from within: its samples, its clients, and what the defence did to whom."""

from collections.abc import Callable, Sequence
from pathlib import Path

from fl_backdoor.analysis.report.figure import Figure
from fl_backdoor.analysis.report.figures.class_accuracy import class_accuracy
from fl_backdoor.analysis.report.figures.decisions import decisions
from fl_backdoor.analysis.report.figures.label_histogram import label_histogram
from fl_backdoor.analysis.report.figures.roc import roc
from fl_backdoor.analysis.report.figures.update_sizes import update_sizes
from fl_backdoor.analysis.report.html import Html, element
from fl_backdoor.analysis.report.sections.plots import embedded
from fl_backdoor.core import reading
from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.runs.run import Run

FIGURES: tuple[Callable[[Run], Sequence[Figure]], ...] = (
    label_histogram,
    class_accuracy,
    update_sizes,
    decisions,
    roc,
)

PNG = b"\x89PNG\r\n\x1a\n"
LARGEST = 4_000_000
"""Bytes of an image that the page takes in."""


def title(run: Run) -> str:
    """Name a run by what it was."""
    alpha = "" if run.alpha is None else f", α = {run.alpha:g}"
    seed = "" if run.seed is None else f", seed {run.seed}"
    return f"{run.dataset}, {run.strategy}{alpha}{seed}"


def figures_of(run: Run) -> tuple[list[Figure], list[str]]:
    """Return the figures of one run, and what could not be read, a line each."""
    figures: list[Figure] = []
    problems: list[str] = []
    for draw in FIGURES:
        try:
            figures += draw(run)
        except FlBackdoorError as error:
            problems.append(str(error))
    return figures, problems


def samples(run: Run) -> tuple[bytes | None, list[str]]:
    """Return the picture of clean and triggered samples, and what could not be read."""
    path = run.folder / "samples.png"
    if not path.exists():
        return None, []
    return _image(path)


def picture(content: bytes) -> Html:
    """Return the picture of clean and triggered samples as the page shows it."""
    text = "Test samples, above as they are, below with the trigger"
    return element(
        "figure",
        element("h3", "Clean and triggered samples"),
        element("img", src=embedded(content, "image/png"), alt=text),
        element("figcaption", f"{text}, with the names of their classes."),
    )


def _image(path: Path) -> tuple[bytes | None, list[str]]:
    try:
        content = reading.content(path, LARGEST)
    except FlBackdoorError as error:
        return None, [str(error)]
    if not content.startswith(PNG):
        return None, [f"{path} is no PNG"]
    return content, []
