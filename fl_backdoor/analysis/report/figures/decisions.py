"""Who was left out, shortened or suspected, and when."""

from collections.abc import Callable, Mapping, Sequence

from fl_backdoor.analysis.report.figure import Axis, Chart, Look, Series
from fl_backdoor.analysis.report.figures.clients import malicious_ids, named
from fl_backdoor.core.table import Cell, Row, number
from fl_backdoor.runs.figures import OKABE_ITO
from fl_backdoor.runs.run import Run

ROUND = Axis("server_round", "round", whole=True)
MOST_CLIENTS = 100
"""Rows of the figure; attackers come first."""


def decisions(run: Run) -> list[Chart]:
    """Return a figure with a mark for each client and round; nothing without a table of clients."""
    attackers = malicious_ids(run)
    ids = sorted(
        {row["client_id"] for row in run.clients}, key=lambda found: (found not in attackers, _order(found))
    )
    shown = ids[:MOST_CLIENTS]
    if not shown:
        return []
    heights = {found: -index for index, found in enumerate(shown)}
    rows = [row for row in run.clients if row["client_id"] in heights]
    series = [
        found
        for label, (look, holds) in MARKS.items()
        for found in _series(label, look, holds, rows, heights)
    ]
    left_out = f" {len(ids) - len(shown)} benign clients are left out." if len(ids) > len(shown) else ""
    return [
        Chart(
            "decisions_by_round",
            "Who was left out, clipped or flagged",
            "A mark for each client and round in which it took part; a shaded square means that it attacked. "
            f"Flagged: the defence takes it for malicious.{left_out}",
            ROUND,
            Axis(
                "client",
                "client",
                ticks=tuple((height, named(found, attackers)) for found, height in heights.items()),
            ),
            tuple(series),
            height=min(2400, 130 + 26 * max(6, len(shown))),
        )
    ]


def _is_rejected(row: Row) -> bool:
    return row["rejected"] is not None


def _is_left_out(row: Row) -> bool:
    return row["filtered"] is True


def _is_clipped(row: Row) -> bool:
    coefficient = number(row["clip_coefficient"])
    return coefficient is not None and coefficient < 1


def _is_kept(row: Row) -> bool:
    return not (_is_rejected(row) or _is_left_out(row) or _is_clipped(row))


MARKS: dict[str, tuple[Look, Callable[[Row], bool]]] = {
    "attacked": (Look(OKABE_ITO[4], "square", size=20, opacity=0.45), lambda row: row["attacking"] is True),
    "kept as it was": (Look("#777777", "circle", size=5), _is_kept),
    "clipped": (Look(OKABE_ITO[0], "triangle-down", size=9), _is_clipped),
    "left out": (Look(OKABE_ITO[1], "cross", size=9), _is_left_out),
    "reply not usable": (Look(OKABE_ITO[3], "diamond", size=9), _is_rejected),
    "flagged": (Look("#000000", "circle", size=15, hollow=True), lambda row: row["flagged"] is True),
}
"""Later ones are drawn over earlier ones."""


def _series(
    label: str, look: Look, holds: Callable[[Row], bool], rows: Sequence[Row], heights: Mapping[Cell, int]
) -> list[Series]:
    chosen = [row for row in rows if holds(row)]
    if not chosen:
        return []
    x = [number(row["server_round"]) or 0 for row in chosen]
    y = [heights[row["client_id"]] for row in chosen]
    return [Series(label, look, x, y, names=[f"client {row['client_id']}" for row in chosen])]


def _order(client_id: Cell) -> tuple[bool, int, str]:
    whole = isinstance(client_id, int)
    return (not whole, client_id if isinstance(client_id, int) else 0, str(client_id))
