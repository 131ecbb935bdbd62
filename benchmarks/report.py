"""Figures as a table on the terminal and as JSON on disk, with the machine they were taken on."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.measure import Figure
from fl_backdoor.runs.environment import git_state, hardware, versions


@cache  # asking git takes a while, and both files are written after each figure
def machine() -> dict[str, Any]:
    """Return versions, hardware and commit."""
    import torch

    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    commit, changed = git_state(Path(__file__).parent)
    return {"versions": versions(), "hardware": hardware(gpus), "git": {"commit": commit, "changed": changed}}


def print_figures(console: Console, name: str, figures: Sequence[Figure]) -> None:
    """Print the table of one benchmark."""
    table = Table(title=name, title_justify="left")
    for heading in ("case", "quantity", "minimum", "median", "maximum", "unit"):
        table.add_column(heading, justify="left" if heading in {"case", "quantity", "unit"} else "right")
    for figure in figures:
        numbers = [f"{value:.4g}" for value in (figure.minimum, figure.median, figure.maximum)]
        table.add_row(figure.case, figure.quantity, *numbers, figure.unit)
    console.print(table)


def write_markdown(path: Path, benchmarks: dict[str, list[Figure]]) -> None:
    """Write everything that was measured so far as tables for a page of the docs."""
    lines = [f"{key}: {value}  " for part in machine().values() for key, value in part.items()]
    for name, figures in benchmarks.items():
        lines += ["", f"## {name}", "", "| case | quantity | minimum | median | maximum | unit |"]
        lines += ["| --- | --- | ---: | ---: | ---: | --- |"]
        for figure in figures:
            numbers = (f"{value:.4g}" for value in (figure.minimum, figure.median, figure.maximum))
            lines.append(f"| {' | '.join([figure.case, figure.quantity, *numbers, figure.unit])} |")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_json(path: Path, benchmarks: dict[str, list[Figure]]) -> None:
    """Write everything that was measured so far, with the machine."""
    measured = {
        name: [
            asdict(figure) | {"minimum": figure.minimum, "median": figure.median, "maximum": figure.maximum}
            for figure in figures
        ]
        for name, figures in benchmarks.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine(), "benchmarks": measured}, indent=2), encoding="utf-8")
