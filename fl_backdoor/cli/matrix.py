"""Defences by attacks: ``fl-backdoor matrix <folder> --figure matrix.png > matrix.md``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fl_backdoor.analysis.matrix import matrices, sheet
from fl_backdoor.analysis.render.latex import latex
from fl_backdoor.analysis.render.markdown import markdown
from fl_backdoor.cli.output import answer
from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.runs.runs import find_all

FORMATS = {"markdown": markdown, "latex": latex}


def main(arguments: Sequence[str]) -> int:
    """Print the tables that the command line asks for; return 0, or 2 if there is nothing to show."""
    asked = _parser().parse_args(arguments)
    return answer(lambda: _print(asked.folders, asked.format, asked.figure))


def _print(folders: Sequence[Path], wanted: str, figure: Path | None) -> list[str]:
    """Print the tables, draw them if that is asked, and return what could not be read."""
    found, problems = find_all(folders)
    problems += [problem for run in found for problem in run.problems]
    runs = [run for run in found if run.tells_anything]
    if not runs:
        raise FlBackdoorError("; ".join(problems))
    found_matrices = matrices(runs)
    sys.stdout.write("\n".join(FORMATS[wanted](sheet(one)) for one in found_matrices))
    if figure is not None:
        from fl_backdoor.analysis.matrix_figure import draw_matrices

        draw_matrices(figure, found_matrices)
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
