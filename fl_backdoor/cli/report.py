"""One page about runs: ``fl-backdoor report <folder> --out report.html``."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from fl_backdoor.analysis.report.sections.question import notices
from fl_backdoor.core import files
from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.core.foreign_text import printable

if TYPE_CHECKING:
    from fl_backdoor.analysis.report.material import Material

NOTHING_TO_SHOW = 2


def main(arguments: Sequence[str]) -> int:
    """Write the report that the command line asks for; return 0, or 2 if there is nothing to show."""
    asked = _parser().parse_args(arguments)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        with console.status("reading and drawing"):
            material = write(asked.folders, asked.out, asked.details)
    except FlBackdoorError as error:
        _tell(console, str(error).splitlines())
        return NOTHING_TO_SHOW
    console.print(Text(f"{asked.out} is written; its figures are in {files_folder(asked.out)}"))
    for notice in notices(material):
        console.print(Text(f"NOTICE: {notice}", style="yellow"))
    _tell(console, material.problems)
    return 0


def write(folders: Sequence[Path], out: Path, most_detailed: int) -> "Material":
    """Write the report on all runs in and below `folders` to `out`, and its files beside it.

    Returns
    -------
    material
        What the report is made from, and what could not be read.

    Raises
    ------
    FlBackdoorError
        If there is nothing to show, or the report cannot be written.
    """
    from fl_backdoor.analysis.report.material import gather
    from fl_backdoor.analysis.report.page import Page

    page = Page(gather(folders, most_detailed))
    beside = files_folder(out)
    with files.one_line_errors(beside):
        beside.mkdir(parents=True, exist_ok=True)
    for name, content in page.files.items():
        files.replace(beside / name, content)
    files.replace(out, page.html(beside.name))
    return page.material


def files_folder(out: Path) -> Path:
    """Return the folder of the figures of a report."""
    return out.with_name(f"{out.stem}_files")


def _tell(console: Console, problems: Sequence[str]) -> None:
    for problem in problems:
        console.print(Text(f"fl_backdoor: {printable(problem)}", style="bold red"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fl-backdoor report",
        description="One HTML page about runs, which opens without a network, and its figures as files.",
    )
    parser.add_argument(
        "folders", nargs="+", type=Path, metavar="folder", help="a run, or a folder that holds runs"
    )
    parser.add_argument("--out", type=Path, default=Path("report.html"), help="the page (%(default)s)")
    parser.add_argument(
        "--details", type=_count, default=6, metavar="N", help="runs that are shown one by one (%(default)s)"
    )
    return parser


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text}: must be a whole number, at least 0")
    return int(text)
