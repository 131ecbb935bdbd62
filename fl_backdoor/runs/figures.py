"""The figures of a run, drawn without a display; colours are told apart by colour-blind readers too."""

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core import files
from fl_backdoor.core.foreign_text import printable
from fl_backdoor.core.table import Row, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Images = NDArray[np.uint8]
"""Images, uint8 ``(n, channels, height, width)`` with 1 or 3 channels."""

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")

DPI = 128  # a power of two: pixels divided by it and multiplied again are the same pixels
WIDTH, HEIGHT = 1000, 600
"""Pixels."""

LETTERS = 100
"""In a line of a sentence: 1000 pixels at the size that sentences are drawn in."""


class _Series(NamedTuple):
    column: str
    label: str
    colour: str
    marker: str


_SERIES = (
    _Series("main_task_accuracy", "main-task accuracy", OKABE_ITO[0], "o"),
    _Series("attack_success_rate", "ASR", OKABE_ITO[1], "s"),
    _Series("success_rate", "SR", OKABE_ITO[2], "^"),
)


def draw_rounds(path: Path, rounds: Sequence[Row], title: str) -> None:
    """Draw accuracy, ASR and SR by round, those of a clean model dashed, and when clients were left out.

    Where the model had diverged there is a gap, and a mark.

    Parameters
    ----------
    path
        The PNG, 1000x600 pixels.
    rounds
        The rows of ``rounds.csv``.
    title
        Data set, strategy and α.
    """
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(WIDTH, HEIGHT)
    axes = figure.add_subplot()
    for series in _SERIES:
        _draw_series(axes, rounds, series)
    _mark(
        axes, "clients left out", "#555555", [row for row in rounds if (number(row["num_filtered"]) or 0) > 0]
    )
    _mark(axes, "diverged", OKABE_ITO[6], [row for row in rounds if row["diverged"] is not None])
    axes.set_title(printable(title))
    axes.set_xlabel("round")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel("share of test samples (%)")
    percent_axis(axes)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize="small")
    save(figure, path)


def draw_images(
    path: Path, clean: Images, triggered: Images, true_names: Sequence[str], target_name: str
) -> None:
    """Draw a row of clean test images over the same images with the trigger, enlarged pixel by pixel.

    Parameters
    ----------
    path
        The PNG, about 1000 pixels wide.
    clean, triggered
        The same images without and with the trigger, uint8 ``(n, channels, height, width)``, n at least 1.
    true_names
        Class of each image.
    target_name
        The class that the backdoor leads to.
    """
    count, _, height, width = clean.shape
    gap, margin, caption = 10, 20, 28
    scale = min(8, max(1, ((WIDTH - 2 * margin + gap) // count - gap) // width))
    step, tall = scale * width + gap, scale * height
    canvas_width = max(2 * margin + count * step - gap, WIDTH)
    canvas_height = 2 * (tall + 2 * caption)
    figure = new_figure(canvas_width, canvas_height, layout=None)
    left = (canvas_width - count * step + gap) // 2
    headings = ("clean test images", f"with the trigger; the attacker wants: {target_name}")
    for row, (images, heading) in enumerate(zip((clean, triggered), headings, strict=True)):
        top = canvas_height - row * (tall + 2 * caption)
        _text(figure, left, top - caption // 2, heading, "left")
        for index, image in enumerate(images):
            x = left + index * step
            figure.figimage(_enlarged(image, scale), xo=x, yo=top - caption - tall, origin="upper")
            name = true_names[index]
            middle = x + scale * width // 2
            _text(figure, middle, top - tall - 3 * caption // 2, name, "center", size=min(9, step / 11))
    save(figure, path)


def draw_sentences(
    path: Path, clean: Sequence[str], triggered: Sequence[str], true_names: Sequence[str], target_name: str
) -> None:
    """Draw test sentences, below each of them the same one with the trigger.

    Parameters
    ----------
    path
        The PNG, 1000 pixels wide.
    clean, triggered
        The same sentences without and with the trigger, at least one.
    true_names
        Class of each sentence.
    target_name
        The class that the backdoor leads to.
    """
    margin, step = 20, 17
    lines = [(f"test sentences, below each with the trigger; the attacker wants: {target_name}", "black")]
    for before, after, name in zip(clean, triggered, true_names, strict=True):
        lines += [("", "black"), (name, "#555555")]
        lines += [(line, "black") for line in _wrapped(before)]
        lines += [(line, OKABE_ITO[1]) for line in _wrapped(after)]
    height = step * len(lines) + 2 * margin
    figure = new_figure(WIDTH, height, layout=None)
    for index, (line, colour) in enumerate(lines):
        y = height - margin - step * index - step // 2
        _text(figure, margin, y, line, "left", size=8, colour=colour)
    save(figure, path)


def new_figure(width: int, height: int, layout: str | None = "constrained") -> "Figure":
    """Return an empty figure of this size in pixels."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width / DPI, height / DPI), dpi=DPI, layout=layout)  # type: ignore[arg-type]


def percent_axis(axes: "Axes") -> None:
    """Let the y axis of `axes` show 0 to 100 %."""
    axes.set_ylim(-2, 102)
    axes.set_yticks(range(0, 101, 20))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def save(figure: "Figure", path: Path) -> None:
    """Write `figure` as a PNG at one stroke."""
    content = io.BytesIO()
    figure.savefig(content, format="png")
    files.replace(path, content.getvalue())


def _draw_series(axes: "Axes", rounds: Sequence[Row], series: _Series) -> None:
    numbers = [int(row["server_round"] or 0) for row in rounds]
    found = _percent(rounds, series.column)
    axes.plot(numbers, found, color=series.colour, marker=series.marker, markersize=4, label=series.label)
    clean = _percent(rounds, f"clean_{series.column}")
    if not np.isnan(clean).all():
        axes.plot(numbers, clean, color=series.colour, linestyle="--", label=f"{series.label}, clean model")


def _mark(axes: "Axes", label: str, colour: str, rounds: Sequence[Row]) -> None:
    if rounds:
        # Short marks: where it is so in every round, full lines would bury the curves.
        at, edge = [int(row["server_round"] or 0) for row in rounds], axes.get_xaxis_transform()
        axes.vlines(at, 0.95, 1, color=colour, transform=edge, label=label)


def _percent(rounds: Sequence[Row], column: str) -> NDArray[np.float64]:
    is_own = not column.startswith("clean_")
    found = [None if is_own and row["diverged"] is not None else number(row[column]) for row in rounds]
    return np.array([np.nan if share is None else 100 * share for share in found], dtype=np.float64)


def _enlarged(image: Images, scale: int) -> Images:
    """Return one image as ``(height * scale, width * scale, 3)``, each pixel a square."""
    colours = np.broadcast_to(image, (3, *image.shape[1:])).transpose(1, 2, 0)
    return colours.repeat(scale, axis=0).repeat(scale, axis=1)


def _wrapped(sentence: str) -> list[str]:
    """Return a sentence as the lines that it is drawn in, at least one."""
    return textwrap.wrap(sentence, LETTERS) or [""]


def _text(
    figure: "Figure", x: int, y: int, text: str, align: str, *, size: float = 9, colour: str = "black"
) -> None:
    width, height = figure.get_size_inches() * DPI
    position = (x / width, y / height)
    # A dollar in a sentence is one, and begins no formula.
    figure.text(
        *position, printable(text), ha=align, va="center", fontsize=size, color=colour, parse_math=False
    )
