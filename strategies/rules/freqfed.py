"""FreqFed: the largest group of updates whose low frequencies are alike.

H. Fereidooni, A. Pegoraro, P. Rieger, A. Dmitrienko and A.-R. Sadeghi, FreqFed: A Frequency Analysis-Based
Approach for Mitigating Poisoning Attacks in Federated Learning, NDSS 2024, https://arxiv.org/abs/2312.04432.
Each update goes through a discrete cosine transform; of its coefficients the low half is kept; HDBSCAN on
their cosine distances finds groups, and the clients of the largest are averaged.

Deviations: the transform is one of the whole update as a vector, type II, as in public copies, where the
paper speaks of the layers' matrices; updates in place of models; if HDBSCAN finds no group, nobody is left
out; of two groups of one size that with the lowest client id stays.

It assumes that more than half of the clients are benign. Cost: a transform for each client, a new matrix of
half the size, and a product of all pairs of its rows.
"""

from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.shares import share_of
from fl_backdoor.core.types import ClientMask, Ratio, UpdateMatrix
from strategies.base import ClientUpdates
from strategies.chain.kinds import ChoiceStep
from strategies.chain.rows import Choice
from strategies.numerics.cosines import cosine_distances
from strategies.numerics.density import density_groups
from strategies.numerics.linear import norms
from strategies.numerics.threads import in_order
from strategies.robust_strategy import StrategyArguments

FEWEST_IN_A_GROUP = 2
"""HDBSCAN's smallest group."""


def low_frequencies(updates: UpdateMatrix, count: int) -> UpdateMatrix:
    """Return the first `count` coefficients of each update's cosine transform, float32, a row each."""
    from scipy.fft import dct

    low = np.empty((len(updates), count), dtype=np.float32)

    def fill(row: int) -> None:
        low[row] = dct(updates[row], norm="ortho")[:count]

    for _ in in_order(fill, range(len(updates))):
        pass
    return low


def largest_group(distances: NDArray[np.float64]) -> ClientMask:
    """Return who is in the largest of HDBSCAN's groups; everybody, if it finds none.

    Parameters
    ----------
    distances
        float64 ``(n_clients, n_clients)``.
    """
    labels = density_groups(distances, FEWEST_IN_A_GROUP)
    if (labels < 0).all():
        return np.ones(len(labels), dtype=np.bool_)
    sizes = np.bincount(labels[labels >= 0])
    largest = next(label for label in labels if label >= 0 and sizes[label] == sizes.max())
    return np.asarray(labels == largest)


class FreqFed(ChoiceStep):
    """The mean over the largest group of alike low frequencies; the others are filtered and flagged.

    Parameters
    ----------
    kept_share
        Share of the coefficients, the lowest, that is compared.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    def __init__(self, *, kept_share: Ratio = 0.5, **flower: Unpack[StrategyArguments]) -> None:
        super().__init__(**flower)
        self.kept_share = kept_share

    def choose(self, clients: ClientUpdates) -> Choice:
        """Keep the largest group."""
        count = max(share_of(clients.updates.shape[1], self.kept_share), 1)
        low = low_frequencies(clients.updates, count)
        return Choice.of(keep=largest_group(cosine_distances(low, norms(low))))
