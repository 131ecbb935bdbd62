"""What each client has moved the model by, so that it can be taken back."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.types import ClientMask, ClientVector
from strategies.base import Aggregation, ClientUpdates
from strategies.persistent_direction.rollback import Rollback


@dataclass(frozen=True)
class MeanRollback(Rollback):
    """Sums over rounds, a row a client of the federation, where a weighted mean moves the model.

    Parameters
    ----------
    moved_by
        Of weighted and clipped updates, float32 ``(num_clients, n_params)``.
    moved_with
        Of weights, float64 ``(num_clients,)``.
    """

    moved_by: NDArray[np.float32]
    moved_with: ClientVector

    OF_CLIENTS = ("moved_by", "moved_with")

    @classmethod
    def none(cls, num_clients: int, num_params: int) -> Self:
        """Return what clients have contributed before the first round."""
        nothing = np.zeros(num_params, np.float32)
        return cls(nothing, np.zeros((num_clients, num_params), np.float32), np.zeros(num_clients))

    def after(self, clients: ClientUpdates, aggregation: Aggregation) -> Self:
        """Return the sums after a round in which clients moved the model as the aggregation says."""
        moved_by, moved_with = self.moved_by.copy(), self.moved_with.copy()
        factors = aggregation.weights * aggregation.clip_coefficients
        for client_id, factor, update in zip(clients.client_ids, factors, clients.updates, strict=True):
            moved_by[client_id] += np.float32(factor) * update
        moved_with[clients.client_ids] += aggregation.weights
        return replace(self, moved_by=moved_by, moved_with=moved_with)

    def without(self, left_out: ClientMask) -> Self:
        """Return the sums as if some clients' weight had been the others'; the difference is owed."""
        theirs, others = self.moved_with[left_out].sum(), self.moved_with[~left_out].sum()
        if theirs == 0 or others == 0:
            return self
        growth = np.float32(theirs / others)
        difference = growth * self.moved_by[~left_out].sum(axis=0) - self.moved_by[left_out].sum(axis=0)
        factors = np.where(left_out, 0, 1 + growth)
        return replace(
            self,
            owed=self.owed + difference.astype(np.float32),
            moved_by=self.moved_by * factors[:, None].astype(np.float32),
            moved_with=self.moved_with * factors,
        )
