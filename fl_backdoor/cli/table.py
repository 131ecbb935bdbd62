"""A table for a paper: ``fl-backdoor table <folder> --format latex > table.tex``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fl_backdoor.analysis.render.latex import latex
from fl_backdoor.analysis.render.markdown import markdown
from fl_backdoor.analysis.settings_table import SettingsTable, csv, sheet, tabulate
from fl_backdoor.cli.also import add_also, further_figures
from fl_backdoor.cli.output import answer
from fl_backdoor.runs.runs import find_telling

FORMATS = ("markdown", "latex", "csv")


def main(arguments: Sequence[str]) -> int:
    """Print the table that the command line asks for; return 0, or 2 if there is nothing to show."""
    asked = _parser().parse_args(arguments)
    return answer(lambda: _print(asked.folders, asked.format, further_figures(asked)))


def _print(folders: Sequence[Path], wanted: str, also: Sequence[str]) -> list[str]:
    """Print the table and return what could not be read."""
    runs, problems = find_telling(folders)
    sys.stdout.write(_write(tabulate(runs), wanted, also))
    return problems


def _write(content: SettingsTable, wanted: str, also: Sequence[str]) -> str:
    if wanted == "csv":
        return csv(content).decode()
    return latex(sheet(content, also)) if wanted == "latex" else markdown(sheet(content, also))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fl-backdoor table",
        description="A table of runs, a row a setting: mean and standard deviation over seeds.",
    )
    parser.add_argument(
        "folders", nargs="+", type=Path, metavar="folder", help="a run, or a folder that holds runs"
    )
    parser.add_argument("--format", choices=FORMATS, default=FORMATS[0], help="default: %(default)s")
    add_also(parser, "column")
    return parser
