"""What a median has left of each client's updates, so that it can be made up for.

A few that push all one way shift a median a little in each round, and what it is shifted by the updates of
all others lack in it. So the others' sums tell how far the model is from where it would be.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.types import ClientMask, ClientVector, ParameterVector
from strategies.base import Aggregation, ClientUpdates
from strategies.numerics.clipping import clipped_to_median
from strategies.persistent_direction.rollback import Rollback
from strategies.rules.trimmed_mean import trimmed_mean

NOT_COUNTED = 0.2
"""Share of the others on either side, at each coordinate, that does not say what they lack.

So an attacker that is not found yet says little, while what few clients alone have, under label skew, is
not lost as it is in a median."""


@dataclass(frozen=True)
class MedianRollback(Rollback):
    """Sums over rounds, a row a client of the federation, where a median moves the model.

    Parameters
    ----------
    beyond
        Of how far an update, clipped to the median length, is from the round's median, shared among who took
        part; float32 ``(num_clients, n_params)``.
    shares
        Of these shares, float64 ``(num_clients,)``: all of them together are the number of rounds.
    due
        How far the model was to be moved in all, done or not; float32 ``(n_params,)``.
    """

    beyond: NDArray[np.float32]
    shares: ClientVector
    due: ParameterVector

    OF_CLIENTS = ("beyond", "shares")

    @classmethod
    def none(cls, num_clients: int, num_params: int) -> Self:
        """Return what is left before the first round."""
        nothing = np.zeros(num_params, np.float32)
        return cls(nothing, np.zeros((num_clients, num_params), np.float32), np.zeros(num_clients), nothing)

    def after(self, clients: ClientUpdates, aggregation: Aggregation) -> Self:
        """Return the sums after a round in which the median of whoever is not filtered moved the model."""
        beyond, shares = self.beyond.copy(), self.shares.copy()
        keep = ~aggregation.filtered
        clip_coefficients = clipped_to_median(clients.norms, keep)
        share = 1 / keep.sum()
        for row in np.flatnonzero(keep):
            client_id = clients.client_ids[row]
            left = np.float32(clip_coefficients[row]) * clients.updates[row] - aggregation.update
            beyond[client_id] += np.float32(share) * left
            shares[client_id] += share
        return replace(self, beyond=beyond, shares=shares)

    def without(self, left_out: ClientMask) -> Self:
        """Return the sums of the others; what they lack by now is owed.

        That is the trimmed mean of their means, times the number of rounds.
        """
        others = ~left_out & (self.shares > 0)
        theirs = self.shares[left_out].sum()
        if theirs == 0 or not others.any():
            return self
        means = np.divide(self.beyond[others], self.shares[others, None], dtype=np.float32)
        due = np.float32(self.shares.sum()) * trimmed_mean(means, NOT_COUNTED)
        factors = np.where(left_out, 0, 1 + theirs / self.shares[others].sum())
        return replace(
            self,
            owed=self.owed + due - self.due,
            beyond=self.beyond * factors[:, None].astype(np.float32),
            shares=self.shares * factors,
            due=due,
        )
