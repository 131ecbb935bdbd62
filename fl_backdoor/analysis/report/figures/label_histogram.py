"""How many samples of each class each client has."""

from fl_backdoor.analysis.report.figure import Grid
from fl_backdoor.analysis.report.figures.clients import malicious_ids, named
from fl_backdoor.core import table
from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.runs.run import Run


def label_histogram(run: Run) -> list[Grid]:
    """Return a heat map, clients by classes, from ``labels.csv``; nothing where there is no such file.

    Raises
    ------
    FlBackdoorError
        If the file is damaged.
    """
    path = run.folder / "labels.csv"
    if not path.exists():
        return []
    (first, *classes), rows = _checked(table.read_any(path), str(path))
    attackers = malicious_ids(run)
    return [
        Grid(
            "label_histogram",
            "Samples of each class, by client",
            "How many training samples of each class each client holds; attackers are marked.",
            "client",
            "class",
            "samples",
            tuple(named(row[first], attackers) for row in rows),
            tuple(classes),
            tuple(tuple(table.number(row[name]) for name in classes) for row in rows),
        )
    ]


def _checked(
    found: tuple[tuple[str, ...], list[table.Row]], path: str
) -> tuple[tuple[str, ...], list[table.Row]]:
    columns, rows = found
    counts = [row[name] for row in rows for name in columns[1:]]
    numbers = all(table.number(count) is not None for count in counts)
    if columns[:1] != ("client_id",) or len(set(columns)) < len(columns) or not counts or not numbers:
        raise FlBackdoorError(f"{path} is damaged: it must hold client_id and a count for each class")
    return columns, rows
