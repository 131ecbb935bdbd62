"""Reports made by the command, and what stands in their tables."""

from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

from fl_backdoor.cli.report import main


class Tables(HTMLParser):
    """The cells of all tables by caption, the words of a cell joined by a space."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self._caption: list[str] | None = None
        self._rows: list[list[str]] = []
        self._inside: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self._inside.append(tag)
        if tag == "table":
            self._caption, self._rows = [], []
        elif tag == "tr":
            self._rows.append([])
        elif tag in {"td", "th"}:
            self._rows[-1].append("")
        if tag in {"meta", "link", "img", "br"}:
            self._inside.pop()

    def handle_endtag(self, tag):
        self._inside.pop()
        if tag == "table":
            self.tables["".join(self._caption)] = self._rows

    def handle_data(self, data):
        if "caption" in self._inside:
            self._caption.append(data)
        elif {"td", "th"} & set(self._inside):
            self._rows[-1][-1] = f"{self._rows[-1][-1]} {data}".strip()


@dataclass
class Made:
    """A report: exit status, page, what was said, its notices apart, and the folder of its files."""

    status: int
    page: str
    said: list[str]
    notices: list[str]
    files: Path

    def tables(self):
        return Tables(self.page).tables


def make(out: Path, said: Callable[[], str], *arguments: object, details: int = 0) -> Made:
    """Make a report; `said` returns what the command wrote."""
    out.parent.mkdir(exist_ok=True)
    status = main([*map(str, arguments), "--out", str(out), "--details", str(details)])
    page = out.read_text(encoding="utf-8") if out.exists() else ""
    lines = said().splitlines()
    notices = [line.removeprefix("NOTICE: ") for line in lines if line.startswith("NOTICE: ")]
    others = [line for line in lines if not line.startswith("NOTICE: ")]
    return Made(status, page, others, notices, out.with_name(f"{out.stem}_files"))
