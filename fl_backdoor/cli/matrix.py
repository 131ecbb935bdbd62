"""Defences by attacks: ``fl-backdoor matrix <folder> --figure matrix.png > matrix.md``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fl_backdoor.analysis.matrix import matrices, sheet
from fl_backdoor.analysis.render.latex import latex
from fl_backdoor.analysis.render.markdown import markdown
from fl_backdoor.cli.output import answer
from fl_backdoor.runs.runs import find_telling

FORMATS = {"markdown": markdown, "latex": latex}


def main(arguments: Sequence[str]) -> int:
    """Print the tables that the command line asks for; return 0, or 2 if there is nothing to show."""
    asked = _parser().parse_args(arguments)
    return answer(lambda: _print(asked.folders, asked.format, asked.figure))


def _print(folders: Sequence[Path], wanted: str, figure: Path | None) -> list[str]:
    """Print the tables, draw them if that is asked, and return what could not be read."""
    runs, problems = find_telling(folders)
    found = matrices(runs)
    sys.stdout.write("\n".join(FORMATS[wanted](sheet(one)) for one in found))
    if figure is not None:
        from fl_backdoor.analysis.matrix_figure import draw_matrices

        draw_matrices(figure, found)
    return problems


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fl-backdoor matrix",
        description="Tables of defences by attacks: ASR, and the accuracy that a defence costs.",
    )
    parser.add_argument(
        "folders", nargs="+", type=Path, metavar="folder", help="a run, or a folder that holds runs"
    )
    parser.add_argument("--format", choices=FORMATS, default="markdown", help="default: %(default)s")
    parser.add_argument(
        "--figure", type=Path, metavar="PNG", help="a file to draw heat maps of the same into"
    )
    return parser
