"""AlignIns: those are kept whose direction, and whose signs, are like the others'.

J. Xu, Z. Zhang and R. Hu, Detecting Backdoor Attacks in Federated Learning via Direction Alignment
Inspection, CVPR 2025, https://arxiv.org/abs/2503.07978. Two figures a client:

- TDA, temporal direction alignment: the cosine of its update and the global model;
- MPSA, masked principal sign alignment: of its k largest coordinates, the share that has the sign which most
  clients' updates have there, the sign of Σ_i sgn(Δ_ij).

A client is kept whose |x - median| / standard deviation is below λ_s for MPSA and below λ_c for TDA; kept
updates are clipped to the median of their norms and averaged. The authors' code takes λ_s = λ_c = 1 and k =
30 % of the coordinates. Deviations: standard deviations that are rounding do not tell clients apart; if
nobody is kept the model is.

Cost: three passes over the updates, and for each client a selection of its largest coordinates.
"""

from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.shares import share_of
from fl_backdoor.core.types import ClientVector, Positive, Ratio, UpdateMatrix
from strategies.base import Aggregation, ClientUpdates, mean_of, nothing_of
from strategies.numerics.clipping import clipped_to_median
from strategies.numerics.columns import columnwise
from strategies.numerics.cosines import cosines_with
from strategies.numerics.largest import are_largest
from strategies.numerics.scores import median_z_scores
from strategies.numerics.threads import in_order
from strategies.robust_strategy import RobustStrategy, StrategyArguments


def sign_alignment(updates: UpdateMatrix, kept_share: float) -> ClientVector:
    """Return MPSA, of each update's largest coordinates the share with the majority's sign."""
    majority = columnwise(_majority, updates)
    count = max(share_of(updates.shape[1], kept_share), 1)

    def aligned(row: int) -> float:
        agrees = np.sign(updates[row]) == majority
        return np.count_nonzero(agrees & are_largest(updates[row], count)) / count

    return np.array(list(in_order(aligned, range(len(updates)))))


def _majority(chunk: NDArray[Any]) -> NDArray[np.float32]:
    signs: NDArray[np.float32] = np.sign(np.sign(chunk).sum(axis=0))
    return signs


class AlignIns(RobustStrategy):
    """The mean of well-aligned updates, none longer than their median; the others are filtered and flagged.

    Parameters
    ----------
    sign_bound
        λ_s, of the score of MPSA.
    direction_bound
        λ_c, of the score of TDA.
    kept_share
        k, the share of an update's coordinates, the largest, whose signs count.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    def __init__(
        self,
        *,
        sign_bound: Positive = 1.0,
        direction_bound: Positive = 1.0,
        kept_share: Ratio = 0.3,
        **flower: Unpack[StrategyArguments],
    ) -> None:
        super().__init__(**flower)
        self.sign_bound = sign_bound
        self.direction_bound = direction_bound
        self.kept_share = kept_share

    def aggregate(self, clients: ClientUpdates) -> Aggregation:
        """Return the clipped mean over whoever is aligned in both ways."""
        model = self.server.layout.vector(clients.model)
        directions = cosines_with(model, clients.updates, clients.norms)
        signs = sign_alignment(clients.updates, self.kept_share)
        keep = (median_z_scores(signs, size=1) < self.sign_bound) & (
            median_z_scores(directions, size=1) < self.direction_bound
        )
        if not keep.any():
            return nothing_of(clients)
        return mean_of(clients, keep, clipped_to_median(clients.norms, keep))
