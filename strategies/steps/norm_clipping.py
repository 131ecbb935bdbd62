"""Norm clipping: no update is longer than a bound.

Z. Sun, P. Kairouz, A. T. Suresh and H. B. McMahan, Can You Really Backdoor Federated Learning?, 2019,
https://arxiv.org/abs/1911.07963, "Norm thresholding of updates": Δ_i / max(1, ‖Δ_i‖₂ / M), then the mean.
Deviation: without a bound M the median of the round's norms is taken, which follows them as they shrink.

Cost: one pass over the updates for their norms, and one to scale them where a step has to see them.
"""

from typing import Unpack

import numpy as np

from fl_backdoor.core.types import Positive
from strategies.base import ClientUpdates
from strategies.chain.kinds import UpdateStep
from strategies.chain.rows import Change
from strategies.numerics.clipping import clip_coefficients
from strategies.robust_strategy import StrategyArguments


class NormClipping(UpdateStep):
    """Updates, none longer than the bound; nobody is flagged.

    Parameters
    ----------
    bound
        M, the longest that ‖Δ_i‖₂ may be; None: the median of the round's norms.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    def __init__(self, *, bound: Positive | None = None, **flower: Unpack[StrategyArguments]) -> None:
        super().__init__(**flower)
        self.bound = bound

    def change(self, clients: ClientUpdates) -> Change:
        """Clip each update to the bound."""
        bound = float(np.median(clients.norms)) if self.bound is None else self.bound
        return Change(clip_coefficients(clients.norms, bound))
