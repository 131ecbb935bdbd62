"""The most accurate model of a run, kept beside the last one where that is asked for."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core import files
from fl_backdoor.core.table import number

BEST_MODEL = "best_model.safetensors"


class BestModel:
    """Keeps the model of the first round with the highest accuracy on test samples, diverged rounds aside.

    Parameters
    ----------
    folder
        The run's.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / BEST_MODEL
        self._highest = -1.0

    def go_on(self, rounds: Iterable[Mapping[str, object]]) -> None:
        """Hear of the rounds before a run was cut off; the best model of them is there."""
        self._highest = max([self._highest, *map(_accuracy, rounds)])

    def round_finished(self, row: Mapping[str, object], model: Mapping[str, NDArray[np.generic]]) -> None:
        """Put the model of a round on the disk if it is better than all before.

        Raises
        ------
        FlBackdoorError
            If it cannot be written; the one before is then still there.
        """
        from safetensors.numpy import save

        if _accuracy(row) > self._highest:
            self._highest = _accuracy(row)
            files.replace(self._path, save({name: np.asarray(a, order="C") for name, a in model.items()}))


def _accuracy(row: Mapping[str, object]) -> float:
    found = number(row["main_task_accuracy"]) if row["diverged"] is None else None
    return -1.0 if found is None else found
