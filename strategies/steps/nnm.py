"""Nearest-neighbour mixing: each update becomes the mean of those nearest to it.

Y. Allouah, S. Farhadkhani, R. Guerraoui, N. Gupta, R. Pinot and J. Stephan, Fixing by Mixing: A Recipe for
Optimal Byzantine ML under Heterogeneity, AISTATS 2023, https://arxiv.org/abs/2302.01772: row i becomes the
mean of the n - f updates nearest to Δ_i, itself among them; f < n / 2. Deviations: updates of several
local steps take the place of gradients; of equally distant ones those with lower scores of Krum are taken,
since the order of clients should not matter.

It is meant to stand before a rule. What it leaves is as far apart as means of n - f are: label skew hides
less. Cost: the distances of all pairs, a product of ``(n, n)`` with ``(n, n_params)``, and a new matrix.
"""

from typing import Unpack

import numpy as np

from fl_backdoor.core.types import Count
from strategies.base import ClientUpdates, ServerContext
from strategies.chain.kinds import UpdateStep
from strategies.chain.rows import Change, Shares
from strategies.numerics.linear import Squares, mixed_rows
from strategies.robust_strategy import StrategyArguments
from strategies.rules.krum import fewest_clients, krum_scores, require_clients


def neighbour_shares(squared: Squares, num_malicious: int) -> Shares:
    """Return 1 / (n - f) at the n - f nearest of each row, itself first, ``(n_clients, n_clients)``."""
    distances = squared.copy()
    np.fill_diagonal(distances, -1)
    scores = np.broadcast_to(krum_scores(squared, num_malicious), squared.shape)
    num_neighbours = len(squared) - num_malicious
    nearest = np.lexsort((scores, distances), axis=1)[:, :num_neighbours]
    shares = np.zeros_like(distances)
    np.put_along_axis(shares, nearest, 1 / num_neighbours, axis=1)
    return shares


class NNM(UpdateStep):
    """Means of neighbours, a row each; nobody is flagged.

    A row's buffers are the median of its neighbours', and the median of those is taken where no rule follows.

    Parameters
    ----------
    num_malicious
        f, how many clients the defence takes for malicious; a round has at least 2f + 1 clients.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    def __init__(self, *, num_malicious: Count = 3, **flower: Unpack[StrategyArguments]) -> None:
        super().__init__(**flower)
        self.num_malicious = num_malicious
        self.required_clients = fewest_clients(2, num_malicious, more=1)

    def prepare(self, server: ServerContext) -> None:
        """Refuse a server that asks too few clients a round; raises ConfigError."""
        require_clients(server, type(self).__name__, 2, self.num_malicious, more=1)
        super().prepare(server)

    def change(self, clients: ClientUpdates) -> Change:
        """Mix each update with its neighbours."""
        shares = neighbour_shares(clients.squared_distances, self.num_malicious)
        return Change(updates=mixed_rows(shares, clients.updates), shares=shares)
