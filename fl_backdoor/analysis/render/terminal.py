"""A table on a terminal, or as plain text where there is none."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fl_backdoor.analysis.render.sheet import Sheet, letter


def show(console: Console, sheet: Sheet) -> None:
    """Print `sheet`; what is too long for the width is folded within its own column."""
    console.print(Text(sheet.title, style="bold"))
    console.print(_table(sheet, box.SIMPLE_HEAD if console.is_terminal else None))
    for at, note in enumerate(sheet.footnotes):
        console.print(Text(f"{letter(at)}: {note}"))


def _table(sheet: Sheet, frame: box.Box | None) -> Table:
    # A frame puts a space of its own between columns.
    table = Table(box=frame, show_edge=False, pad_edge=False, padding=(0, 1 if frame else 2, 0, 0))
    for number, head in enumerate(sheet.columns):
        name = number < sheet.num_names
        table.add_column(Text(head), justify="left" if name else "right", overflow="fold")
    for number, (first, *others) in enumerate(sheet.rows):
        letters = sheet.letters_of(number)
        cells = [f"{first} [{letters}]" if letters else first, *others]
        table.add_row(*map(Text, cells))
    return table
