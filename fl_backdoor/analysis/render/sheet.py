"""A table as a reader sees it, whatever it is written in."""

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_lowercase


@dataclass(frozen=True)
class Sheet:
    """Text in rows and columns, with footnotes below.

    Parameters
    ----------
    title
        What the table shows, one line.
    columns
        Heads of the columns.
    rows
        Cells, as many in each row as there are `columns`; plain text, nothing in it is markup.
    num_names
        So many columns on the left hold names and are flush left; all others hold figures.
    footnotes
        What stands below the table, a line each.
    noted
        For each row, which of `footnotes` concern it, counted from 0; empty: none concerns any.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    num_names: int
    footnotes: tuple[str, ...] = ()
    noted: tuple[tuple[int, ...], ...] = ()

    def letters_of(self, row: int) -> str:
        """Return the letters of the footnotes on a row, such as ``a,c``."""
        return ",".join(letter(note) for note in self.noted[row]) if self.noted else ""


def letter(note: int) -> str:
    """Return what a note goes by: a to z, then aa, ab and so on."""
    rest, last = divmod(note, len(ascii_lowercase))
    return (letter(rest - 1) if rest else "") + ascii_lowercase[last]


def gather(marks: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]:
    """Return the marks of all rows, each once, and for each row which of them are its own."""
    footnotes = tuple(dict.fromkeys(mark for of_row in marks for mark in of_row))
    return footnotes, tuple(tuple(footnotes.index(mark) for mark in of_row) for of_row in marks)
