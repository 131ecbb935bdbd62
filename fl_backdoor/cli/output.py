"""How a command that only reads answers: what was asked for on stdout, what is wrong on stderr."""

import sys
from collections.abc import Callable, Iterable

from rich.console import Console
from rich.text import Text

from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.core.foreign_text import cleaned

NOTHING_TO_SHOW = 2

LONGEST = 2000
"""Characters of a line: more than any of ours has, with paths and all."""


def answer(show: Callable[[], Iterable[str]]) -> int:
    """Call `show`, which writes to stdout and hands over problems, a line each; return the exit code.

    That is 0, or 2 with one more line on stderr if `show` raises an `FlBackdoorError`.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        for problem in show():
            _say(console, problem)
        sys.stdout.flush()
    except FlBackdoorError as error:
        sys.stdout.flush()
        _say(console, str(error))
        return NOTHING_TO_SHOW
    return 0


def _say(console: Console, problem: str) -> None:
    console.print(Text(cleaned(f"fl_backdoor: {problem}", LONGEST), style="bold red"))
