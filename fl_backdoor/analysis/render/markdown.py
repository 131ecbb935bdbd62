"""A table that GitHub renders."""

import re
from collections.abc import Sequence

from fl_backdoor.analysis.render.sheet import Sheet, letter

MARKUP = re.compile(r"([\\`*_{}\[\]<>|~#&$])")


def markdown(sheet: Sheet) -> str:
    """Return `sheet` as title, pipe table and footnotes."""
    rule = ["---"] * sheet.num_names + ["---:"] * (len(sheet.columns) - sheet.num_names)
    rows = [_with_letters(row, sheet.letters_of(number)) for number, row in enumerate(sheet.rows)]
    table = [_line(_escaped(sheet.columns)), _line(rule), *map(_line, rows)]
    footnotes = "  \n".join(
        f"{_raised(letter(at))} {escape(note)}" for at, note in enumerate(sheet.footnotes)
    )
    return "\n\n".join(filter(None, (escape(sheet.title), "\n".join(table), footnotes))) + "\n"


def escape(text: str) -> str:
    """Return `text` so that Markdown shows it as it is."""
    return MARKUP.sub(r"\\\1", " ".join(text.split()))


def _escaped(cells: Sequence[str]) -> list[str]:
    return [escape(cell) for cell in cells]


def _with_letters(row: Sequence[str], letters: str) -> list[str]:
    first, *others = _escaped(row)
    return [first + (_raised(letters) if letters else ""), *others]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _raised(letters: str) -> str:
    return f"<sup>{letters}</sup>"
