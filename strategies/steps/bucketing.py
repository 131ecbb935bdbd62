"""Bucketing: a rule is given the means of small random groups of updates.

S. P. Karimireddy, L. He and M. Jaggi, Byzantine-Robust Learning on Heterogeneous Datasets via Bucketing,
ICLR 2022, https://arxiv.org/abs/2006.09365, algorithm 1: a random order of the clients is cut into ⌈n / s⌉
buckets of s, the last of which may have fewer, and the rule combines their means. Label skew within a bucket
averages out; up to f of ⌈n / s⌉ rows are now an attacker's. The paper takes s = 2. Deviations: updates of
several local steps take the place of momenta; within a bucket clients weigh what they weigh in a mean, as
everywhere in this project.

Cost: a pass over the updates, and a new matrix of ⌈n / s⌉ rows.
"""

from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.seeding import Purpose, generator
from fl_backdoor.core.types import ClientVector, PositiveCount
from strategies.base import ClientUpdates
from strategies.chain.kinds import UpdateStep
from strategies.chain.rows import Change, Shares
from strategies.numerics.linear import mixed_rows
from strategies.robust_strategy import StrategyArguments


def bucket_shares(order: NDArray[np.int64], weights: ClientVector, size: int) -> Shares:
    """Return what each bucket is made of, ``(⌈n_clients / size⌉, n_clients)``; the sum of a row is 1.

    Parameters
    ----------
    order
        The clients' rows in the order in which buckets are filled, int64 ``(n_clients,)``.
    weights
        Of clients in a mean, float64 ``(n_clients,)``.
    size
        s, most clients in a bucket.
    """
    buckets = np.empty_like(order)
    buckets[order] = np.arange(len(order)) // size
    shares = np.where(np.arange(buckets.max() + 1)[:, None] == buckets, weights, 0.0)
    shares /= shares.sum(axis=1, keepdims=True)
    return shares


class Bucketing(UpdateStep):
    """Means of random buckets, a row each; nobody is flagged.

    Parameters
    ----------
    bucket_size
        s, how many clients are put into a bucket.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    groups_clients = True

    def __init__(self, *, bucket_size: PositiveCount = 2, **flower: Unpack[StrategyArguments]) -> None:
        super().__init__(**flower)
        self.bucket_size = bucket_size

    def change(self, clients: ClientUpdates) -> Change:
        """Mix the clients of each bucket; another round, or another such step in it, has other buckets."""
        random = generator(self.server.seed, Purpose.BUCKETS, clients.server_round, self.occurrence)
        order = random.permutation(len(clients.weights))
        shares = bucket_shares(order, clients.weights, self.bucket_size)
        return Change(updates=mixed_rows(shares, clients.updates), shares=shares)

    def rows_after(self, count: int) -> int:
        """Return the number of buckets."""
        return -(-count // self.bucket_size)
