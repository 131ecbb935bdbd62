"""Server momentum: the model goes on in the direction of the rounds before.

T.-M. H. Hsu, H. Qi and M. Brown, Measuring the Effects of Non-Identical Data Distribution for Federated
Visual Classification, 2019, https://arxiv.org/abs/1909.06335, section 3.3, FedAvgM: v ← β·v + Δ, w ← w + v.
The factor η is Flower's. Deviation: BatchNorm's buffers have no momentum, see
`strategies.steps.server_optimizer`.

Cost: three passes over the parameters, and one vector kept.
"""

from typing import Unpack

import numpy as np

from fl_backdoor.core.types import Decay, ParameterVector, Positive
from strategies.robust_strategy import StrategyArguments
from strategies.steps.server_optimizer import Memory, ServerOptimizer


class FedAvgM(ServerOptimizer):
    """The model, moved by η times a sum of all movements so far, each β times less than the one after it.

    Parameters
    ----------
    beta
        β, in [0, 1); 0 moves the model as it was.
    eta
        η, a factor of the whole movement.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    remembered = ("momentum",)

    def __init__(
        self, *, beta: Decay = 0.9, eta: Positive = 1.0, **flower: Unpack[StrategyArguments]
    ) -> None:
        super().__init__(eta=eta, **flower)
        self.beta = beta

    def after(self, movement: ParameterVector) -> tuple[Memory, ParameterVector]:
        """Return v = β·v + Δ."""
        momentum = self.recalled("momentum", movement) * np.float32(self.beta) + movement
        return {"momentum": momentum}, momentum
