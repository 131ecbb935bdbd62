"""A bar on a terminal while samples are decoded."""

from collections.abc import Iterable
from typing import TypeVar

Item = TypeVar("Item")


def with_progress(items: Iterable[Item], title: str, count: int) -> Iterable[Item]:
    """Return the `count` items; a bar shows how many have been taken, if there is a terminal."""
    from rich.console import Console
    from rich.progress import track

    terminal = Console(stderr=True)
    return track(
        items, title, total=count, console=terminal, disable=not terminal.is_terminal, transient=True
    )
