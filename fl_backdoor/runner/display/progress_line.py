"""A line now and then while many small things are done, so that nobody takes the program for stuck."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

FIRST_SECONDS, NEXT_SECONDS = 2.0, 10.0
"""After how long something is said at first, and how often from then on."""

FEW = 20
"""So many are done before anybody wonders."""


class ProgressLine:
    """Counts what is done, and says now and then how much it is.

    Parameters
    ----------
    say
        Takes a line.
    what
        What is counted, such as ``runs checked``.
    """

    def __init__(self, say: Callable[[str], None], what: str) -> None:
        self._say = say
        self._what = what
        self._done = 0
        self._due = time.monotonic() + FIRST_SECONDS

    def one_more(self) -> None:
        """Count one."""
        self._done += 1
        now = time.monotonic()
        if self._done >= FEW and now >= self._due:
            self._due = now + NEXT_SECONDS
            self._say(f"{self._done:,} {self._what}")

    def over(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield the items, and count them."""
        for item in items:
            yield item
            self.one_more()
