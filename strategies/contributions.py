"""What each client has moved the model by, so that it can be taken back."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.types import ClientMask, ClientVector, ParameterVector
from strategies.base import Aggregation, ClientUpdates

AT_ONCE = 0.5
"""Share of what is still to be taken back that is taken back in a round.

What clients learnt since rests on what is taken back: all at once is a jolt that costs a model rounds."""


@dataclass(frozen=True)
class Contributions:
    """Sums over rounds, a row a client of the federation, and what is to be taken back.

    Parameters
    ----------
    moved_by
        Of weighted and clipped updates, float32 ``(num_clients, n_params)``.
    moved_with
        Of weights, float64 ``(num_clients,)``.
    owed
        How far the model is still to be moved, so that what left-out clients moved it by is gone; float32
        ``(num_params,)``.
    """

    moved_by: NDArray[np.float32]
    moved_with: ClientVector
    owed: ParameterVector

    @classmethod
    def none(cls, num_clients: int, num_params: int) -> "Contributions":
        """Return what clients have contributed before the first round."""
        nothing = np.zeros(num_params, np.float32)
        return cls(np.zeros((num_clients, num_params), np.float32), np.zeros(num_clients), nothing)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> "Contributions":
        """Return what `as_arrays` took apart."""
        owed = arrays["owed"].astype(np.float32)
        return cls(arrays["moved_by"].astype(np.float32), arrays["moved_with"].astype(np.float64), owed)

    def as_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all sums, by name."""
        return asdict(self)

    def after(self, clients: ClientUpdates, aggregation: Aggregation) -> "Contributions":
        """Return the sums after a round in which clients moved the model as the aggregation says."""
        moved_by, moved_with = self.moved_by.copy(), self.moved_with.copy()
        factors = aggregation.weights * aggregation.clip_coefficients
        for client_id, factor, update in zip(clients.client_ids, factors, clients.updates, strict=True):
            moved_by[client_id] += np.float32(factor) * update
        moved_with[clients.client_ids] += aggregation.weights
        return replace(self, moved_by=moved_by, moved_with=moved_with)

    def without(self, left_out: ClientMask) -> "Contributions":
        """Return the sums as if some clients' weight had been the others'; the difference is owed.

        Parameters
        ----------
        left_out
            Bool ``(num_clients,)``; nothing changes where they or the others have contributed nothing.
        """
        theirs, others = self.moved_with[left_out].sum(), self.moved_with[~left_out].sum()
        if theirs == 0 or others == 0:
            return self
        growth = np.float32(theirs / others)
        difference = growth * self.moved_by[~left_out].sum(axis=0) - self.moved_by[left_out].sum(axis=0)
        factors = np.where(left_out, 0, 1 + growth)
        return Contributions(
            self.moved_by * factors[:, None].astype(np.float32),
            self.moved_with * factors,
            self.owed + difference.astype(np.float32),
        )

    def step(self) -> tuple[ParameterVector, "Contributions"]:
        """Return how far to move the model in this round, `AT_ONCE` of what is owed, and what remains."""
        step = np.float32(AT_ONCE) * self.owed
        return step, replace(self, owed=self.owed - step)
