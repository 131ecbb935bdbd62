"""A figure as data: what the page, the files for a paper and the table of its numbers are all made from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import cycle

from fl_backdoor.runs.figures import OKABE_ITO

HEIGHT = 420
"""Of a figure on the page, in pixels; legend not counted."""

MARKERS = ("circle", "square", "triangle", "diamond", "cross", "plus", "star", "triangle-down")
DASHES = ("solid", "dash", "dashdot")


@dataclass(frozen=True)
class Look:
    """What a series looks like: colour never stands alone.

    Parameters
    ----------
    colour
        As ``#rrggbb``.
    marker
        One of `MARKERS`; None: a line alone.
    dash
        One of `DASHES`, or ``dot``; None: points alone.
    size
        Of the markers, in pixels.
    hollow
        Whether markers are outlines.
    opacity
        In [0, 1].
    """

    colour: str
    marker: str | None = None
    dash: str | None = None
    size: float = 8
    hollow: bool = False
    opacity: float = 1.0


LOOKS = tuple(
    Look(colour, marker, dash)
    for colour, marker, dash, _ in zip(
        cycle(OKABE_ITO), cycle(MARKERS), cycle(DASHES), range(56), strict=False
    )
)
"""Each differs from all others in colour or marker, neighbours in both."""

GREY = "#555555"


@dataclass(frozen=True)
class Axis:
    """One axis.

    Parameters
    ----------
    column
        Name of its values in the CSV file.
    label
        What stands at the axis.
    percent
        Whether values are shares in [0, 1], which are shown in per cent.
    full
        Whether the axis goes from 0 to 100 % whatever the values.
    ticks
        Position and text of each tick; empty: as it comes.
    whole
        Whether only whole numbers make sense.
    """

    column: str
    label: str
    percent: bool = False
    full: bool = True
    ticks: tuple[tuple[float, str], ...] = ()
    whole: bool = False


@dataclass(frozen=True)
class Series:
    """Points that belong together.

    Parameters
    ----------
    label
        What the legend says.
    look
        What they look like.
    x, y
        The values, equally many.
    low, high
        Spread of `y`, drawn as a band; empty: none.
    x_low, x_high
        Spread of `x`; with it, both are drawn as bars. Empty: none.
    names
        What each point is called; empty: nothing.
    in_legend
        Whether the legend tells of it.
    """

    label: str
    look: Look
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    x_low: Sequence[float] = ()
    x_high: Sequence[float] = ()
    names: Sequence[str] = ()
    in_legend: bool = True


@dataclass(frozen=True)
class Chart:
    """Lines and points over two axes.

    Parameters
    ----------
    name
        Of its files, without an ending; it holds letters, digits and underscores.
    title, caption
        What it shows, and how to read it.
    x, y
        The axes.
    series
        At least one, drawn in this order.
    height
        In pixels, legend not counted.
    """

    name: str
    title: str
    caption: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    height: int = HEIGHT


@dataclass(frozen=True)
class Grid:
    """A heat map.

    Parameters
    ----------
    name, title, caption
        As of a `Chart`.
    row, column, value
        What rows, columns and values are; also their names in the CSV file.
    rows, columns
        Their labels, from the top and from the left.
    values
        Row by row; None: unknown.
    percent
        Whether values are shares in [0, 1], shown in per cent.
    """

    name: str
    title: str
    caption: str
    row: str
    column: str
    value: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    percent: bool = False

    @property
    def height(self) -> int:
        """In pixels."""
        return min(1600, 140 + 28 * max(4, len(self.rows)))

    @property
    def top(self) -> float:
        """The value of the darkest colour."""
        known = [value for line in self.values for value in line if value is not None]
        return 1.0 if self.percent else max(known, default=1.0)

    def text(self, value: float | None) -> str:
        """Write one value."""
        if value is None:
            return ""
        return f"{100 * value:.1f}" if self.percent else f"{value:g}"

    @property
    def has_room(self) -> bool:
        """Whether the values can be written into their cells."""
        return len(self.columns) <= 20 and len(self.rows) <= 50


Figure = Chart | Grid

MOST_LETTERS = 60


def shortened(text: str) -> str:
    """Cut a name that would leave no room for the figure itself; its numbers as CSV have all of it."""
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…"


def renamed(figure: Figure, prefix: str) -> Figure:
    """Return `figure` with file names of its own."""
    return replace(figure, name=f"{prefix}_{figure.name}")
