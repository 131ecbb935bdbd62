"""RLR: a robust learning rate, negative for the coordinates on whose direction too few clients agree.

M. S. Özdayi, M. Kantarcioglu and Y. R. Gel, Defending against Backdoors in Federated Learning with Robust
Learning Rate, AAAI 2021, https://arxiv.org/abs/2007.03767: the weighted mean of the updates moves coordinate
j at the rate +λ where |Σ_i sgn(Δ_ij)| ≥ θ, at -λ elsewhere. The paper takes θ = 4 of 10 clients; above the
number of attackers they cannot decide a direction alone, above that of benign clients without attackers
nothing is learnt. Deviation: none.

Cost: one pass over the updates, the mean's own.
"""

from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.types import PositiveCount
from strategies.base import Aggregation, ClientUpdates
from strategies.numerics.columns import columnwise
from strategies.robust_strategy import RobustStrategy, StrategyArguments
from strategies.rules.coordinate_rule import mixed


class RLR(RobustStrategy):
    """The weighted mean, turned round where clients disagree; nobody has a weight, nobody is flagged.

    Parameters
    ----------
    threshold
        θ, how many more clients must move a coordinate one way than the other; a round has at least so many.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    def __init__(self, *, threshold: PositiveCount = 4, **flower: Unpack[StrategyArguments]) -> None:
        super().__init__(**flower)
        self.threshold = threshold
        self.required_clients = threshold

    def aggregate(self, clients: ClientUpdates) -> Aggregation:
        """Return the mean, times the sign of its learning rate."""

        def turned(chunk: NDArray[Any]) -> NDArray[Any]:
            agreed = np.abs(np.sign(chunk).sum(axis=0)) >= self.threshold
            mean = clients.weights @ chunk
            movement: NDArray[Any] = np.where(agreed, mean, -mean)
            return movement

        nobody = np.zeros(len(clients.weights), dtype=np.bool_)
        return mixed(columnwise(turned, clients.updates, dtype=np.float64), left_out=nobody)
