"""What the median has left of each client's updates, so that it can be made up for."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.types import ClientMask, ClientVector, ParameterVector
from strategies.base import ClientUpdates
from strategies.contributions import AT_ONCE
from strategies.trimmed_mean import trimmed_mean

NOT_COUNTED = 0.2
"""Share of the others on either side, at each coordinate, that does not say what they lack.

So an attacker that is not found yet says little, while what few clients alone have, under label skew, is
not lost as it is in a median."""


@dataclass(frozen=True)
class Remainders:
    """Sums over rounds, a row a client of the federation, and what is to be made up for.

    A few that push all one way shift a median a little in each round, and what it is shifted by the updates
    of all others lack in it. So the others' sums tell how far the model is from where it would be.

    Parameters
    ----------
    beyond
        Of how far a clipped update is from the round's median, shared among who took part; float32
        ``(num_clients, num_params)``.
    shares
        Of these shares, float64 ``(num_clients,)``: all of them together are the number of rounds.
    due
        How far the model is to be moved in all; float32 ``(num_params,)``.
    owed
        What is still to be done of it, float32 ``(num_params,)``.
    """

    beyond: NDArray[np.float32]
    shares: ClientVector
    due: ParameterVector
    owed: ParameterVector

    @classmethod
    def none(cls, num_clients: int, num_params: int) -> "Remainders":
        """Return what is left before the first round."""
        nothing = np.zeros(num_params, np.float32)
        return cls(np.zeros((num_clients, num_params), np.float32), np.zeros(num_clients), nothing, nothing)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> "Remainders":
        """Return what `as_arrays` took apart."""
        single = {name: arrays[name].astype(np.float32) for name in ("beyond", "due", "owed")}
        return cls(shares=arrays["shares"].astype(np.float64), **single)

    def as_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all sums, by name."""
        return asdict(self)

    def after(
        self,
        clients: ClientUpdates,
        keep: ClientMask,
        clip_coefficients: ClientVector,
        centre: ParameterVector,
    ) -> "Remainders":
        """Return the sums after a round in which `centre` was the median of the clients in `keep`."""
        beyond, shares = self.beyond.copy(), self.shares.copy()
        share = 1 / keep.sum()
        for row in np.flatnonzero(keep):
            client_id = clients.client_ids[row]
            left = np.float32(clip_coefficients[row]) * clients.updates[row] - centre
            beyond[client_id] += np.float32(share) * left
            shares[client_id] += share
        return replace(self, beyond=beyond, shares=shares)

    def without(self, left_out: ClientMask) -> "Remainders":
        """Return the sums of the others; what they lack by now is owed.

        That is the trimmed mean of their means, times the number of rounds.

        Parameters
        ----------
        left_out
            Bool ``(num_clients,)``; nothing changes where they or the others have not taken part.
        """
        others = ~left_out & (self.shares > 0)
        theirs = self.shares[left_out].sum()
        if theirs == 0 or not others.any():
            return self
        means = np.divide(self.beyond[others], self.shares[others, np.newaxis], dtype=np.float32)
        due = np.float32(self.shares.sum()) * trimmed_mean(means, NOT_COUNTED)
        factors = np.where(left_out, 0, 1 + theirs / self.shares[others].sum())
        return Remainders(
            self.beyond * factors[:, None].astype(np.float32),
            self.shares * factors,
            due,
            self.owed + due - self.due,
        )

    def step(self) -> tuple[ParameterVector, "Remainders"]:
        """Return how far to move the model in this round, `AT_ONCE` of what is owed, and what remains."""
        step = np.float32(AT_ONCE) * self.owed
        return step, replace(self, owed=self.owed - step)
