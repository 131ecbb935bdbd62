"""Federated averaging: no defence.

H. B. McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, AISTATS 2017,
https://arxiv.org/abs/1602.05629, algorithm 1. Deviation: weights are equal unless the weighting is
``num_examples``, since an attacker can lie about its number of examples.

Cost: one pass over the updates.
"""

import numpy as np
from numpy.typing import NDArray

from strategies.base import Aggregation, ClientUpdates, mean_of
from strategies.numerics.buffers import weighted_mean
from strategies.robust_strategy import RobustStrategy


class FedAvg(RobustStrategy):
    """The weighted mean of all updates, and of all buffers: one client can put them anywhere."""

    def aggregate(self, clients: ClientUpdates) -> Aggregation:
        """Return the mean over all clients."""
        return mean_of(clients, keep=np.ones(len(clients.weights), dtype=np.bool_))

    def merge_buffers(self, values: NDArray[np.float64], aggregation: Aggregation) -> NDArray[np.float64]:
        """Return the same mean of buffers."""
        return weighted_mean(values, aggregation.weights)
