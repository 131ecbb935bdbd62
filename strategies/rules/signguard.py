"""SignGuard: those are kept whose length is usual, and whose signs are distributed as most clients' are.

J. Xu, S.-L. Huang, L. Song and T. Lan, Byzantine-robust Federated Learning through Collaborative Malicious
Gradient Filtering, ICDCS 2022, https://arxiv.org/abs/2109.05872. Two filters, and whoever passes both is
clipped to the median norm and averaged:

- the norm is between L and R times the median norm, L = 0.1 and R = 3;
- the shares of positive, zero and negative coordinates, among 10 % of the coordinates drawn at random, lie
  in the largest cluster that mean shift finds.

As in the authors' code each share is divided by the largest client's, and mean shift's bandwidth is
scikit-learn's estimate with the quantile 0.5. Deviations: coordinates are drawn one by one, where that code
draws a window of neighbours; a norm at a bound passes; if nobody passes both filters, the model is kept.

It assumes that more than half of the clients are benign. Cost: two passes over the updates.
"""

from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.seeding import Purpose, generator
from fl_backdoor.core.shares import share_of
from fl_backdoor.core.types import ClientMask, NonNegative, Positive, Ratio
from strategies.base import Aggregation, ClientUpdates, mean_of, nothing_of
from strategies.numerics.clipping import clip_coefficients
from strategies.numerics.mean_shift import mean_shift, usual_bandwidth
from strategies.numerics.rounding import ROUNDING
from strategies.robust_strategy import RobustStrategy, StrategyArguments


def sign_shares(updates: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return of each client the shares of coordinates > 0, = 0 and < 0, each over the largest client's.

    float64 ``(n_clients, 3)``; a share that no client has is 0.
    """
    counts = [np.count_nonzero(one, axis=1) for one in (updates > 0, updates == 0, updates < 0)]
    shares = np.stack(counts, axis=1) / updates.shape[1]
    largest = shares.max(axis=0)
    relative: NDArray[np.float64] = np.divide(shares, largest, out=np.zeros_like(shares), where=largest > 0)
    return relative


def largest_cluster(features: NDArray[np.float64]) -> ClientMask:
    """Return who is in the largest cluster that mean shift finds; everybody, if there are no more than two.

    Parameters
    ----------
    features
        float64 ``(n_clients, n_features)``.
    """
    if len(features) <= 2:
        return np.ones(len(features), dtype=np.bool_)
    labels = mean_shift(features, max(usual_bandwidth(features, quantile=0.5), ROUNDING))
    return np.asarray(labels == np.argmax(np.bincount(labels[labels >= 0])))


class SignGuard(RobustStrategy):
    """The mean of updates with usual lengths and signs, none longer than the median; others are flagged.

    Parameters
    ----------
    shortest, longest
        L and R: how long an update may be, in median norms.
    sampled_share
        Share of the coordinates whose signs are counted.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    def __init__(
        self,
        *,
        shortest: NonNegative = 0.1,
        longest: Positive = 3.0,
        sampled_share: Ratio = 0.1,
        **flower: Unpack[StrategyArguments],
    ) -> None:
        super().__init__(**flower)
        self.shortest = shortest
        self.longest = longest
        self.sampled_share = sampled_share

    def aggregate(self, clients: ClientUpdates) -> Aggregation:
        """Return the clipped mean over whoever passes both filters."""
        median = float(np.median(clients.norms))
        usual = (clients.norms >= self.shortest * median) & (clients.norms <= self.longest * median)
        keep = usual & largest_cluster(sign_shares(self._sampled(clients)))
        if not keep.any():
            return nothing_of(clients)
        return mean_of(clients, keep, clip_coefficients(clients.norms, median))

    def _sampled(self, clients: ClientUpdates) -> NDArray[np.float32]:
        num_params = clients.updates.shape[1]
        random = generator(self.server.seed, Purpose.SAMPLED_COORDINATES, clients.server_round)
        count = max(share_of(num_params, self.sampled_share), 1)
        columns = np.sort(random.choice(num_params, count, replace=False))
        return clients.updates[:, columns]
