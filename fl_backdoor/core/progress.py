"""Work that tells how far it is."""

from collections.abc import Callable

OnStep = Callable[[str, int, int], None]
"""Told what is being worked on, how much of it is done, and how much there is to do."""


def tell_nobody(_what: str, _done: int, _to_do: int) -> None:
    """Say nothing."""
