"""Two runs, or two folders of seeds, side by side: ``fl-backdoor compare A B``."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from fl_backdoor.analysis.comparison import match
from fl_backdoor.analysis.comparison_text import Part, csv, parts
from fl_backdoor.analysis.render.markdown import escape, markdown
from fl_backdoor.analysis.render.sheet import Sheet
from fl_backdoor.analysis.render.terminal import show
from fl_backdoor.cli.also import add_also, further_figures
from fl_backdoor.cli.output import answer
from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.runs.run import Run
from fl_backdoor.runs.runs import find

FORMATS = ("text", "markdown", "csv")


def main(arguments: Sequence[str]) -> int:
    """Compare what the command line names; return 0, or 2 if it cannot be compared."""
    asked = _parser().parse_args(arguments)
    return answer(lambda: _print(asked.a, asked.b, asked.format, further_figures(asked)))


def _print(a: Path, b: Path, wanted: str, also: Sequence[str]) -> Iterator[str]:
    """Print the comparison and yield what could not be read."""
    found = match(_read(a), _read(b))
    if wanted == "csv":
        sys.stdout.write(csv(found).decode())
    elif wanted == "markdown":
        sys.stdout.write("\n".join(map(_as_markdown, parts(found, str(a), str(b), also))))
    else:
        _show(parts(found, str(a), str(b), also))
    for run in (*found.a, *found.b):
        yield from run.problems
    if not any(pair.has_figures for pair in found.pairs):
        raise FlBackdoorError("nothing can be compared: no setting has a usable run on both sides")


def _read(folder: Path) -> list[Run]:
    runs = find([folder])
    usable = [run for run in runs if run.tells_anything]
    if not usable:
        raise FlBackdoorError("; ".join(problem for run in runs for problem in run.problems))
    return usable


def _as_markdown(part: Part) -> str:
    return markdown(part) if isinstance(part, Sheet) else f"{escape(part)}\n"


def _show(shown: Sequence[Part]) -> None:
    console = Console(highlight=False)
    with console.capture() as written:
        for part in shown:
            if isinstance(part, Sheet):
                console.print()
                show(console, part)
            else:
                console.print(Text(part), soft_wrap=True)
    sys.stdout.write(written.get())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fl-backdoor compare",
        description="What differs between A and B, and whether it is more than seeds differ by.",
    )
    parser.add_argument("a", type=Path, metavar="A", help="a run, or a folder that holds runs")
    parser.add_argument("b", type=Path, metavar="B", help="what A is compared with, likewise")
    parser.add_argument("--format", choices=FORMATS, default=FORMATS[0], help="default: %(default)s")
    add_also(parser, "row")
    return parser
