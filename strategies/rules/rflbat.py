"""RFLBAT: on the plane in which updates differ most, outliers and all groups but one are left out.

Y. Wang, D. Zhai, Y. Zhan and Y. Xia, RFLBAT: A Robust Federated Learning Algorithm against Backdoor
Attack, 2022, https://arxiv.org/abs/2201.03772. Updates are reduced to their first two principal components.

1. Whose summed distance to the others there is ε₁ times the median or more is left out.
2. k-means with the number of groups of the gap statistic splits the rest. Of each group the median over its
   clients of their mean cosine to its other clients is taken; the group with the lowest stays, since
   attackers resemble each other more than benign clients do.
3. In it, whose summed distance is ε₂ times the median or more is left out.

The paper takes ε₁ = 10 and ε₂ = 4. Deviations: a group of one client, which has no cosine to others, does not
stay if there are larger ones; if all groups have one, all stay.

Cost: one product of all pairs of updates, from which both components and cosines follow.
"""

from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.seeding import Purpose, generator
from fl_backdoor.core.types import ClientMask, ClientVector, Positive, PositiveCount
from strategies.base import ClientUpdates
from strategies.chain.kinds import ChoiceStep
from strategies.chain.rows import Choice
from strategies.numerics.cosines import cosine_distances
from strategies.numerics.groups import Labels, k_means, number_of_groups
from strategies.numerics.linear import Squares
from strategies.robust_strategy import StrategyArguments

NUM_COMPONENTS = 2


def principal_components(squared: Squares) -> NDArray[np.float64]:
    """Return each client's first two principal components, float64 ``(n_clients, 2)``.

    From the distances of all pairs alone, as classical scaling has them: of the centred updates' products
    -½ J D J, with J = I - 1/n, the largest eigenvectors times the roots of their eigenvalues.
    """
    centred = squared - squared.mean(axis=0)
    products = -(centred - centred.mean(axis=1, keepdims=True)) / 2
    values, vectors = np.linalg.eigh((products + products.T) / 2)
    largest = np.sqrt(values[::-1][:NUM_COMPONENTS].clip(0))
    components: NDArray[np.float64] = vectors[:, ::-1][:, :NUM_COMPONENTS] * largest
    return components


def summed_distances(points: NDArray[np.float64]) -> ClientVector:
    """Return each point's sum of distances to the others, float64 ``(n_clients,)``."""
    apart = points[:, None] - points[None, :]
    distances: ClientVector = np.sqrt(np.vecdot(apart, apart)).sum(axis=1)
    return distances


def likeness(cosines: NDArray[np.float64]) -> float:
    """Return the median over clients of their mean cosine to the others; infinite for one client alone."""
    count = len(cosines)
    if count == 1:
        return np.inf
    return float(np.median((cosines.sum(axis=1) - np.diag(cosines)) / (count - 1)))


class RFLBAT(ChoiceStep):
    """The mean over the group of clients that resemble each other least; all others are flagged.

    Parameters
    ----------
    first_factor, second_factor
        ε₁ and ε₂: how many median distances are too far, before and after groups are looked for.
    most_groups
        More are not looked for.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    def __init__(
        self,
        *,
        first_factor: Positive = 10.0,
        second_factor: Positive = 4.0,
        most_groups: PositiveCount = 8,
        **flower: Unpack[StrategyArguments],
    ) -> None:
        super().__init__(**flower)
        self.first_factor = first_factor
        self.second_factor = second_factor
        self.most_groups = most_groups

    def choose(self, clients: ClientUpdates) -> Choice:
        """Keep the group that resembles itself least, but for its outliers."""
        points = principal_components(clients.squared_distances)
        cosines = 1 - cosine_distances(clients.updates, clients.norms)
        kept = np.flatnonzero(self._near(points, self.first_factor))
        labels = self._groups(points[kept], clients.server_round)
        chosen = min(np.unique(labels), key=lambda label: likeness(_among(cosines, kept[labels == label])))
        if not np.isinf(likeness(_among(cosines, kept[labels == chosen]))):
            kept = kept[labels == chosen]
        kept = kept[self._near(points[kept], self.second_factor)]
        return Choice.of(keep=np.isin(np.arange(len(points)), kept))

    def _near(self, points: NDArray[np.float64], factor: float) -> ClientMask:
        distances = summed_distances(points)
        near: ClientMask = distances < factor * float(np.median(distances))
        return near if near.any() else np.ones_like(near)  # none is, where all points are the same

    def _groups(self, points: NDArray[np.float64], server_round: int) -> Labels:
        random = generator(self.server.seed, Purpose.CLIENT_GROUPS, server_round, self.occurrence)
        count = number_of_groups(points, self.most_groups, random)
        return k_means(points, count, int(random.integers(2**32)))


def _among(cosines: NDArray[np.float64], rows: NDArray[np.intp]) -> NDArray[np.float64]:
    return cosines[np.ix_(rows, rows)]
