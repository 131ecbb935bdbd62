"""``python -m tests.documents.defences`` writes docs/defences.md anew, from the defences' docstrings."""

import inspect
import re
import textwrap
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import yaml

import conf
import strategies
from strategies.chain.kinds import ChoiceStep, ModelStep, UpdateStep
from strategies.robust_strategy import RobustStrategy
from tests.documents.commands import REPOSITORY

FILE = REPOSITORY / "docs" / "defences.md"

HEAD = """\
# Defences

Generated from their docstrings by `python -m tests.documents.defences`; a test holds it to them.

Each is chosen by `strategy=NAME`, stands in a chain under the same name ([chains.md](chains.md)), and is a
strategy of anybody's Flower app ([library.md](library.md)): a test runs all of them there. What they hold
against which attack is measured in [defence.md](defence.md) and, for the article's three, in
[reproduction.md](reproduction.md).

- **kind**: what it does in a chain. It *changes* updates, *chooses* among clients, *combines* what is left,
  or works on the *model* afterwards.
- **needs**: *f*, it is told how many attackers to expect; where that is the true number, tables and reports
  mark the row as an oracle's. The *network*, to try models out, which the bench gives, and a stranger's app
  by `workbench=`; or *root data* as well, labelled samples of the server's own (`server.root_samples=100`).
- **state**: what it remembers from round to round, which checkpoints hold.

"""

TAIL = """\
## Beside independent implementations

Each of these was compared with somebody else's code on random matrices. Held by tests: k-means, mean shift
and its bandwidth, principal components and FLARE's kernel with scikit-learn; trimmed means, distances, NNM
and whitened lengths with scipy; the geometric median with a general minimiser; the server's optimisers with
Flower's own. Once by hand, on 40 matrices of 7 to 30 clients and up to 200 parameters at scales of 1e-3
to 1e3, with byzfl 0.0.11, largest difference over the largest entry:

| here | byzfl | difference |
| --- | --- | --- |
| median, trimmed mean | the same | 6e-8 |
| RFA, three steps | from the origin in place of the mean | 6e-3; 5e-8 once its origin is the mean |
| RFA, 300 steps | the same | 5e-8 |
| norm clipping, NNM | the same | 0, 6e-8 |
| bucketing, centered clipping over three rounds | the same, given the order of clients | 6e-8, 7e-8 |
| Multi-Krum of n - f - 1 clients | f + 1 in place of f | 5e-8 |
| Krum | f + 1 in place of f | the same client, 40 of 40 times; with f itself 38 times |

byzfl's Krum sums the distances to n - f - 1 neighbours, where the paper, and this project, take n - f - 2.
"""

KINDS = {UpdateStep: "changes", ChoiceStep: "chooses", ModelStep: "model", RobustStrategy: "combines"}

AUTHORS = re.compile(r"(?:\w\.[ -])+(?P<first>[^,]+?)(?:,| and | et al)")
"""How a paragraph about a paper begins: initials, and the first author's name."""


@dataclass(frozen=True)
class Defence:
    """What is known of a configured defence: its name, its class, and the docstring of its module."""

    name: str
    rule: type[RobustStrategy]
    docstring: str

    @property
    def paragraphs(self) -> list[str]:
        """Return the docstring's paragraphs, the summary first."""
        return re.split(r"\n\s*\n", self.docstring.strip())

    @property
    def paper(self) -> str:
        """Return where it comes from: the first author and the year, with a link if the docstring has one."""
        text = " ".join(self.paragraphs[1].split())
        authors = AUTHORS.match(text)
        if authors is None:
            return "[the article](reproduction.md)" if "article" in text else "–"
        year = re.search(r"\b(?:19|20)\d\d\b", text)
        address = re.search(r"https://[^\s,;]+[^\s,;:.]", text)
        name = f"{authors['first']} {year[0]}" if year else authors["first"]
        return f"[{name}]({address[0]})" if address else name

    @property
    def row(self) -> str:
        """Return its row of the table."""
        kind = next(word for base, word in KINDS.items() if issubclass(self.rule, base))
        needs = ["f"] if "num_malicious" in inspect.signature(self.rule.__init__).parameters else []
        needs += [self.rule.needs] if self.rule.needs != "nothing" else []
        state = "yes" if self.rule.state is not RobustStrategy.state else ""
        what = self.paragraphs[0].rstrip(".").split(": ", 1)[-1]
        return f"| `{self.name}` | {what} | {kind} | {self.paper} | {', '.join(needs)} | {state} |"

    @property
    def section(self) -> str:
        """Return its section: the docstring, formulas and lists as they are."""
        parts = [self.paragraphs[0], *map(_filled, self.paragraphs[1:])]
        return f"## {self.name}\n\n" + "\n\n".join(parts)


def defences() -> list[Defence]:
    """Return all configured defences but the chain, by name."""
    found = []
    for path in sorted(Path(conf.__file__).parent.joinpath("strategy").glob("*.yaml")):
        if path.stem != "chain":
            target = yaml.safe_load(path.read_text(encoding="utf-8"))["_target_"]
            rule = getattr(strategies, target.rpartition(".")[2])
            found.append(Defence(path.stem, rule, inspect.getdoc(import_module(rule.__module__)) or ""))
    return found


def document() -> str:
    """Return what docs/defences.md is to be."""
    each = defences()
    head = "| `strategy=` | what it does | kind | paper | needs | state |\n" + "| --- " * 6 + "|\n"
    table = head + "\n".join(defence.row for defence in each)
    return "\n\n".join([HEAD + table, *(defence.section for defence in each), TAIL])


def _filled(paragraph: str) -> str:
    lines = paragraph.splitlines()
    if any(line.startswith((" ", "- ", ">>>", "1. ", "2. ")) for line in lines):
        return paragraph
    return textwrap.fill(" ".join(paragraph.split()), 120, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    FILE.write_text(document(), encoding="utf-8")
