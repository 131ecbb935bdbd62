"""One measured quantity, and the frame that every benchmark fits into.

A benchmark is a module of this package with a function ``measure(scale)`` that yields figures as it goes.
"""

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Parameters
    ----------
    small
        A setting that ends within a minute or two; its figures compare nothing.
    repeats
        How often each quantity is measured; things that are compared take turns.
    """

    small: bool
    repeats: int


@dataclass(frozen=True)
class Figure:
    """All values of one quantity, in the order in which they were taken.

    Parameters
    ----------
    case
        What was measured, e.g. ``median, n = 50, d = 1 M, Flower``.
    quantity, unit
        E.g. ``time`` in ``s``, ``peak memory`` in ``MB``.
    values
        One a repeat.
    """

    case: str
    quantity: str
    unit: str
    values: tuple[float, ...]

    @property
    def minimum(self) -> float:
        """Smallest value."""
        return min(self.values)

    @property
    def median(self) -> float:
        """Median of the values."""
        return statistics.median(self.values)

    @property
    def maximum(self) -> float:
        """Largest value."""
        return max(self.values)


Benchmark = Callable[[Scale], Iterator[Figure]]
"""Measures, and yields each figure as soon as it is known."""
