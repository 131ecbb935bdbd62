"""How well the model knows each class, by round."""

from fl_backdoor.analysis.report.figure import Grid
from fl_backdoor.core import table
from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.runs.columns import CLASS_ACCURACY
from fl_backdoor.runs.run import Run

MOST_ROUNDS = 20
"""That are shown: the first, the last, and others evenly between them."""


def class_accuracy(run: Run) -> list[Grid]:
    """Return a heat map, classes by rounds, from ``class_accuracy.csv``; nothing where there is no such file.

    Raises
    ------
    FlBackdoorError
        If the file is damaged.
    """
    path = run.folder / CLASS_ACCURACY
    if not path.exists():
        return []
    (first, *classes), rows = _checked(table.read_any(path), str(path))
    lost = {row["server_round"] for row in run.rounds if row["diverged"] is not None}
    shown = _evenly([row for row in rows if row[first] not in lost])
    if not shown:
        return []
    return [
        Grid(
            "class_accuracy",
            "Accuracy of each class, by round",
            "Share of each class’s clean test samples that are classified correctly; rounds that diverged "
            "are left out, and of many rounds some are shown.",
            "class",
            "round",
            "accuracy (%)",
            tuple(classes),
            tuple(table.cell(row[first]) for row in shown),
            tuple(tuple(table.number(row[name]) for row in shown) for name in classes),
            percent=True,
        )
    ]


def _evenly(rows: list[table.Row]) -> list[table.Row]:
    if len(rows) <= MOST_ROUNDS:
        return rows
    return [rows[round(at * (len(rows) - 1) / (MOST_ROUNDS - 1))] for at in range(MOST_ROUNDS)]


def _checked(
    found: tuple[tuple[str, ...], list[table.Row]], path: str
) -> tuple[tuple[str, ...], list[table.Row]]:
    columns, rows = found
    shares = [row[name] for row in rows for name in columns[1:]]
    known = [table.number(share) for share in shares if share is not None]
    if (
        columns[:1] != ("server_round",)
        or len(set(columns)) < max(len(columns), 2)
        or not all(share is not None and 0 <= share <= 1 for share in known)
    ):
        raise FlBackdoorError(f"{path} is damaged: it must hold server_round and a share for each class")
    return columns, rows
