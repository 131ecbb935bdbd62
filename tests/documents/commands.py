"""The commands that the documents print, as they print them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template

REPOSITORY = Path(__file__).parents[2]
FIRST = ("README.md", "CONTRIBUTING.md")
DOCUMENTS = [*(REPOSITORY / name for name in FIRST), *sorted((REPOSITORY / "docs").glob("*.md"))]

BLOCK = re.compile(r"^ {4,}\S.*$", re.MULTILINE)
INLINE = re.compile(r"`((?:python -m|fl-backdoor) [^`\n]*)`")
ASSIGNMENT = re.compile(r'^([A-Z]+)="(.*)"$')
CALL = re.compile(
    r"(?:^|[\s/])(?:python3? -m (fl_backdoor\.\w+|benchmarks(?:\.\w+)?)"
    r"|(?:python3? -m fl_backdoor|fl-backdoor) (\w+))\b(.*)$",
    re.DOTALL,
)


@dataclass(frozen=True)
class Command:
    """A call of one of the project's modules, or of a command of ``fl-backdoor``.

    Parameters
    ----------
    module
        What follows ``python -m``; the command's module, which is `fl_backdoor.main` for ``run``.
    arguments
        What follows that; ``…``, which stands for what a reader has to fill in, is taken out.
    where
        The document, for a failing test.
    """

    module: str
    arguments: tuple[str, ...]
    where: str

    def __str__(self) -> str:
        return f"{self.where}: python -m {self.module} {shlex.join(self.arguments)}"


def documented() -> list[Command]:
    """Return all commands of the documents, each once."""
    found = {(command.module, command.arguments): command for file in DOCUMENTS for command in _in(file)}
    return list(found.values())


def _in(file: Path) -> Iterator[Command]:
    text = file.read_text(encoding="utf-8")
    values: dict[str, str] = {}
    for line in [*_lines(text), *(match[1] for match in INLINE.finditer(text))]:
        if assigned := ASSIGNMENT.match(line):
            values[assigned[1]] = assigned[2]
        for part in line.split(" && "):
            if call := CALL.search(part):
                chosen = shlex.split(Template(call[3]).safe_substitute(values), comments=True)
                yield Command(call[1] or _module(call[2]), tuple(chosen), file.name)


def _module(command: str) -> str:
    return "fl_backdoor.main" if command == "run" else f"fl_backdoor.cli.{command}"


def _lines(text: str) -> Iterator[str]:
    """Yield the lines of indented blocks, those that a backslash goes on in one piece."""
    joined = re.sub(r"\\\n\s*", "", text)
    return (match[0].strip() for match in BLOCK.finditer(joined))
