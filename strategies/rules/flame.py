"""FLAME: the largest group of similar updates, clipped to the median norm, with noise on top.

T. D. Nguyen, P. Rieger, H. Chen, H. Yalame, H. Möllering, H. Fereidooni, S. Marchal, M. Miettinen,
A. Mirhoseini, S. Zeitouni, F. Koushanfar, A.-R. Sadeghi and T. Schneider, FLAME: Taming Backdoors in
Federated Learning, USENIX Security 2022, https://arxiv.org/abs/2101.02281, algorithm 1. Deviations: cosine
distances are those of updates, as in the paper's text, where the algorithm writes local models; distances
that are equal to six digits count as equal; if no group of more than half the clients is found, all are
kept, a case that the paper leaves open.

It assumes that more than half of the clients are benign. Cost: a product of all pairs of updates, HDBSCAN on
``(n, n)``, and a normal number a parameter.
"""

from dataclasses import replace
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.seeding import Purpose, generator
from fl_backdoor.core.types import ClientMask, NonNegative
from strategies.base import Aggregation, ClientUpdates, mean_of
from strategies.numerics.clipping import clip_coefficients
from strategies.numerics.cosines import cosine_distances
from strategies.numerics.density import density_groups
from strategies.robust_strategy import RobustStrategy, StrategyArguments


def largest_group(distances: NDArray[np.float64]) -> ClientMask:
    """Return who lies in HDBSCAN's cluster of more than half of the clients; everybody if there is none.

    Parameters
    ----------
    distances
        float64 ``(n_clients, n_clients)``.
    """
    labels = density_groups(distances, len(distances) // 2 + 1, num_neighbours=1, may_be_one=True)
    members: ClientMask = labels == 0
    return members if members.any() else np.ones_like(members)


class Flame(RobustStrategy):
    """The mean over the largest group of updates, none longer than the median norm, plus Gaussian noise.

    Of buffers the median over that group is taken, without noise.

    Parameters
    ----------
    noise_factor
        The paper's λ: noise has the standard deviation λ times the median norm.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    def __init__(self, *, noise_factor: NonNegative = 0.001, **flower: Unpack[StrategyArguments]) -> None:
        super().__init__(**flower)
        self.noise_factor = noise_factor

    def aggregate(self, clients: ClientUpdates) -> Aggregation:
        """Return the noisy mean of the clipped updates; whoever is outside the group is left out."""
        admitted = largest_group(cosine_distances(clients.updates, clients.norms))
        median_norm = float(np.median(clients.norms))
        coefficients = clip_coefficients(clients.norms, median_norm)
        aggregation = mean_of(clients, admitted, coefficients)
        noise_std = np.float32(self.noise_factor * median_norm)
        if noise_std == 0:
            return aggregation
        random = generator(self.server.seed, Purpose.SERVER_NOISE, clients.server_round)
        noise = noise_std * random.standard_normal(len(aggregation.update), dtype=np.float32)
        return replace(aggregation, update=aggregation.update + noise)
