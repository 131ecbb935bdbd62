"""Classes that the majority of several models predicts."""

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.types import NO_CLASS


class Votes:
    """The votes of models, one after the other, on the same samples.

    Where as many vote for one class as for another the smaller one wins; a vote for no class, `NO_CLASS`,
    counts like one for a class beyond all others.
    """

    def __init__(self) -> None:
        self._cast: list[NDArray[np.int64]] = []

    def add(self, classes: NDArray[np.int64]) -> None:
        """Have a model vote: what it predicts, int64 ``(n,)``."""
        self._cast.append(classes)

    def majority(self) -> NDArray[np.int64]:
        """Return the class with most votes of each sample, int64 ``(n,)``."""
        if len(self._cast) == 1:
            return self._cast[0]
        num_classes = int(np.max(self._cast)) + 1
        counts = np.zeros((len(self._cast[0]), num_classes + 1), dtype=np.int64)
        rows = np.arange(len(counts))
        for classes in self._cast:
            counts[rows, classes] += 1  # NO_CLASS, -1, is the last column
        winners = counts.argmax(axis=1)
        return np.where(winners == num_classes, NO_CLASS, winners)
