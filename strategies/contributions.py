"""What each client has moved the model by, so that it can be taken back."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.types import ClientMask, ClientVector, ParameterVector
from strategies.base import Aggregation, ClientUpdates


@dataclass(frozen=True)
class Contributions:
    """Sums over rounds, a row a client of the federation.

    Parameters
    ----------
    moved_by
        Of weighted and clipped updates, float32 ``(num_clients, n_params)``.
    moved_with
        Of weights, float64 ``(num_clients,)``.
    """

    moved_by: NDArray[np.float32]
    moved_with: ClientVector

    @classmethod
    def none(cls, num_clients: int, num_params: int) -> "Contributions":
        """Return what clients have contributed before the first round."""
        return cls(np.zeros((num_clients, num_params), np.float32), np.zeros(num_clients))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> "Contributions":
        """Return what `as_arrays` took apart."""
        return cls(arrays["moved_by"].astype(np.float32), arrays["moved_with"].astype(np.float64))

    def as_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return both sums, by name."""
        return asdict(self)

    def after(self, clients: ClientUpdates, aggregation: Aggregation) -> "Contributions":
        """Return the sums after a round in which clients moved the model as the aggregation says."""
        moved_by, moved_with = self.moved_by.copy(), self.moved_with.copy()
        factors = aggregation.weights * aggregation.clip_coefficients
        for client_id, factor, update in zip(clients.client_ids, factors, clients.updates, strict=True):
            moved_by[client_id] += np.float32(factor) * update
        moved_with[clients.client_ids] += aggregation.weights
        return Contributions(moved_by, moved_with)

    def without(self, left_out: ClientMask) -> tuple[ParameterVector, "Contributions"]:
        """Return how to move the model as if some clients' weight had been the others', and what remains.

        Parameters
        ----------
        left_out
            Bool ``(num_clients,)``; nothing moves where they or the others have contributed nothing.
        """
        theirs, others = self.moved_with[left_out].sum(), self.moved_with[~left_out].sum()
        if theirs == 0 or others == 0:
            return np.zeros(self.moved_by.shape[1], np.float32), self
        growth = np.float32(theirs / others)
        correction = growth * self.moved_by[~left_out].sum(axis=0) - self.moved_by[left_out].sum(axis=0)
        factors = np.where(left_out, 0, 1 + growth)
        remaining = Contributions(
            self.moved_by * factors[:, None].astype(np.float32), self.moved_with * factors
        )
        return correction.astype(np.float32), remaining
