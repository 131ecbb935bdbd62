"""What flagged clients have done to the model until they were flagged, undone by halves."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.types import ClientMask, ParameterVector
from strategies.base import Aggregation, ClientUpdates

AT_ONCE = 0.5
"""Share of what is still to be undone that is undone in a round.

What clients learnt since rests on it: all at once is a jolt that costs a model rounds."""


@dataclass(frozen=True)
class Rollback(ABC):
    """What is kept of clients' updates for it, and what is to be done.

    Parameters
    ----------
    owed
        How far the model is still to be moved, so that what flagged clients did is gone; float32
        ``(n_params,)``.
    """

    owed: ParameterVector

    OF_CLIENTS: ClassVar[tuple[str, ...]]
    """Fields that have a row a client."""

    @classmethod
    @abstractmethod
    def none(cls, num_clients: int, num_params: int) -> Self:
        """Return what is kept before the first round."""

    @abstractmethod
    def after(self, clients: ClientUpdates, aggregation: Aggregation) -> Self:
        """Return what is kept after a round in which the aggregation moved the model, and nothing else."""

    @abstractmethod
    def without(self, left_out: ClientMask) -> Self:
        """Return what is kept of the others; what some clients did until now is owed, and never again.

        Parameters
        ----------
        left_out
            Bool ``(num_clients,)``; nothing changes where they or the others have not taken part.
        """

    def with_room(self, num_clients: int) -> Self:
        """Return the same with a row of zeros for each client that is new."""
        missing = num_clients - len(getattr(self, self.OF_CLIENTS[0]))
        if not missing:
            return self

        extended: dict[str, Any] = {}
        for name in self.OF_CLIENTS:
            rows = getattr(self, name)
            extended[name] = np.concatenate([rows, np.zeros((missing, *rows.shape[1:]), rows.dtype)])
        return replace(self, **extended)

    def step(self) -> tuple[ParameterVector, Self]:
        """Return how far to move the model in this round, `AT_ONCE` of what is owed, and what remains."""
        step = np.float32(AT_ONCE) * self.owed
        return step, replace(self, owed=self.owed - step)

    def as_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all that is kept, by name; nothing is copied, as it never changes."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return what `as_arrays` took apart; there may be other arrays as well."""
        mine: dict[str, Any] = {field.name: arrays[field.name] for field in fields(cls)}
        return cls(**mine)
