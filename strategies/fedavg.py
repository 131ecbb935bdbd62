"""Federated averaging: no defence.

H. B. McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, AISTATS 2017,
https://arxiv.org/abs/1602.05629, algorithm 1. Deviation: weights are equal unless ``server.weighting`` says
otherwise, since an attacker can lie about its number of examples.
"""

import numpy as np

from strategies.base import Aggregation, ClientUpdates, RobustStrategy, mean_of


class FedAvg(RobustStrategy):
    """The weighted mean of all updates."""

    def aggregate(self, clients: ClientUpdates) -> Aggregation:
        """Return the mean over all clients."""
        return mean_of(clients, keep=np.ones(len(clients.weights), dtype=np.bool_))
