"""Centered clipping: no update is farther than a bound from what the last round came to.

S. P. Karimireddy, L. He and M. Jaggi, Learning from History for Byzantine Robust Optimization, ICML 2021,
https://arxiv.org/abs/2012.10333, section 4: v + mean of (Δ_i - v)·min(1, τ / ‖Δ_i - v‖₂), v being the result
of the last round, at first 0. The paper takes one step a round and τ = 100 for its gradients; what is right
depends on the scale of updates. Followed by another rule this one sees the clipped updates. Deviations:
updates of several local steps take the place of momenta, which honest clients would have to send; after
other steps v is what all of the defence came to.

Cost: two passes over the updates, and a new matrix; v, d numbers, in the checkpoint.
"""

from collections.abc import Mapping
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.types import ModelArrays, ParameterVector, Positive
from strategies.base import Aggregation, ClientUpdates
from strategies.chain.kinds import UpdateStep
from strategies.chain.rows import Change
from strategies.numerics.clipping import clip_coefficients
from strategies.numerics.linear import distances_from, pulled_rows
from strategies.robust_strategy import StrategyArguments

CENTRE = "centre"


class CenteredClipping(UpdateStep):
    """Updates, none farther than τ from the last round's result; nobody is flagged.

    Parameters
    ----------
    radius
        τ, the longest that ‖Δ_i - v‖₂ may be.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    def __init__(self, *, radius: Positive = 100.0, **flower: Unpack[StrategyArguments]) -> None:
        super().__init__(**flower)
        self.radius = radius
        self._centre: ParameterVector | None = None

    def change(self, clients: ClientUpdates) -> Change:
        """Pull each update towards the last result until it is near enough."""
        if self._centre is None:
            return Change(clip_coefficients(clients.norms, self.radius))
        coefficients = clip_coefficients(distances_from(self._centre, clients.updates), self.radius)
        pulled = pulled_rows(clients.updates, self._centre, coefficients)
        return Change(clip_coefficients=coefficients, updates=pulled)

    def finish(self, model: ModelArrays, clients: ClientUpdates, aggregation: Aggregation) -> ModelArrays:
        """Remember what the round came to."""
        self._centre = aggregation.update
        return model

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return the last round's result."""
        own: dict[str, NDArray[np.generic]] = {} if self._centre is None else {CENTRE: self._centre}
        return super().state() | own

    def restore(self, server_round: int, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Take it back."""
        super().restore(server_round, state)
        if CENTRE in state:
            self._centre = state[CENTRE].astype(np.float32)
