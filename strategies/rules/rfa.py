"""RFA: the geometric median of the updates, by a few steps of Weiszfeld's algorithm.

K. Pillutla, S. M. Kakade and Z. Harchaoui, Robust Aggregation for Federated Learning, IEEE Transactions on
Signal Processing 70, 2022, https://arxiv.org/abs/1912.13445, the smoothed Weiszfeld algorithm: from the
weighted mean v on, v becomes Σ β_i Δ_i / Σ β_i with β_i = α_i / max(ν, ‖v - Δ_i‖₂), α_i being the client's
weight. The paper takes three steps, which is what clients and server can afford to exchange; so few do not
reach the median, and a single huge update still draws the result a long way: ``num_iterations: 100`` does.
Deviation: none but that the median is that of updates instead of models, from which it differs by the global
model alone.

Cost: two passes over the updates a step, one more for the result.
"""

from typing import Unpack

import numpy as np

from fl_backdoor.core.types import ClientVector, Positive, PositiveCount, UpdateMatrix
from strategies.base import Aggregation, ClientUpdates
from strategies.numerics.linear import distances_from, weighted_sum
from strategies.robust_strategy import RobustStrategy, StrategyArguments


def weiszfeld_weights(
    updates: UpdateMatrix, weights: ClientVector, num_iterations: int, smoothing: float
) -> ClientVector:
    """Return the weights, with the sum 1, under which the mean is the last of Weiszfeld's steps.

    Parameters
    ----------
    updates
        float32 ``(n_clients, n_params)``.
    weights
        α, of the median's objective Σ α_i ‖v - Δ_i‖₂, float64 ``(n_clients,)``, sum 1.
    num_iterations
        Steps after the weighted mean.
    smoothing
        ν: no distance counts as shorter.
    """
    shares = weights
    for _ in range(num_iterations):
        distances = distances_from(weighted_sum(shares, updates), updates)
        shares = weights / np.maximum(distances, smoothing)
        shares /= shares.sum()
    return shares


class RFA(RobustStrategy):
    """The smoothed geometric median; far-off clients have little weight, nobody is left out or flagged.

    Parameters
    ----------
    num_iterations
        Weiszfeld's steps.
    smoothing
        ν: clients that are nearer than this to the present guess count as being at this distance.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    def __init__(
        self,
        *,
        num_iterations: PositiveCount = 3,
        smoothing: Positive = 1e-6,
        **flower: Unpack[StrategyArguments],
    ) -> None:
        super().__init__(**flower)
        self.num_iterations = num_iterations
        self.smoothing = smoothing

    def aggregate(self, clients: ClientUpdates) -> Aggregation:
        """Return the mean under Weiszfeld's weights."""
        weights = weiszfeld_weights(clients.updates, clients.weights, self.num_iterations, self.smoothing)
        nobody = np.zeros(len(weights), dtype=np.bool_)
        return Aggregation(
            update=weighted_sum(weights, clients.updates),
            weights=weights,
            clip_coefficients=np.ones_like(weights),
            filtered=nobody,
            flagged=nobody,
        )
