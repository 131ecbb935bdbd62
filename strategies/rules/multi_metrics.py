"""Multi-Metrics: those are kept that three kinds of distance together show to be ordinary.

S. Huang, Y. Li, C. Chen, L. Shi and Y. Gao, Multi-metrics adaptively identifies backdoors in Federated
learning, ICCV 2023, https://arxiv.org/abs/2303.06601. Of each client three figures, each summed over the
other clients j: how far its cosine is from that of j, its L1 norm, and its L2 norm. They are whitened by the
covariance Σ of the three over clients, δ_i = √(x_iᵀ Σ⁻¹ x_i), and the share of clients with the lowest δ, 30
%, is averaged.

As in the authors' code the figures are those of pairs: (1 - cos(Δ_i, Δ_j))², ‖Δ_i - Δ_j‖₁ and |‖Δ_i‖₂ -
‖Δ_j‖₂|. Deviations: updates in place of models, in which what all have in common hides how they differ; where
Σ is singular, as it is for three clients or for equal ones, its pseudo-inverse is taken; at least one client
is kept, and of equal ones the lowest ids.

Cost: L1 distances of all pairs are n²·d/2 subtractions, for which there is no product; the other two are a
product of all pairs.
"""

from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.shares import share_of
from fl_backdoor.core.types import ClientVector, Ratio, UpdateMatrix
from strategies.base import ClientUpdates
from strategies.chain.kinds import ChoiceStep
from strategies.chain.rows import Choice
from strategies.numerics.columns import summed
from strategies.numerics.cosines import cosine_distances
from strategies.robust_strategy import StrategyArguments
from strategies.rules.krum import lowest


def manhattan_distances(updates: UpdateMatrix) -> NDArray[np.float64]:
    """Return ‖updates_i - updates_j‖₁, float64 ``(n_clients, n_clients)``."""

    def later_ones(chunk: NDArray[Any]) -> NDArray[np.float64]:
        distances = np.zeros((len(chunk), len(chunk)))
        for row in range(len(chunk) - 1):
            distances[row, row + 1 :] = np.abs(chunk[row + 1 :] - chunk[row]).sum(axis=1)
        return distances

    # NumPy's sums are pairwise: those of a chunk are right to float32's last digits.
    distances = summed(later_ones, updates, dtype=np.float32)
    return distances + distances.T


def whitened_lengths(figures: NDArray[np.float64]) -> ClientVector:
    """Return √(x_iᵀ Σ⁻¹ x_i) of each client, Σ being the figures' covariance, float64 ``(n_clients,)``.

    Parameters
    ----------
    figures
        x, float64 ``(n_clients, n_figures)``.
    """
    # Figures of very different size, brought to one: that changes no length, and keeps Σ in good condition.
    scaled = figures / np.where(figures.max(axis=0) > 0, figures.max(axis=0), 1)
    inverse = np.linalg.pinv(np.cov(scaled.T), rcond=1e-12, hermitian=True)
    lengths: ClientVector = np.sqrt(np.einsum("ij,jk,ik->i", scaled, inverse, scaled).clip(0))
    return lengths


class MultiMetrics(ChoiceStep):
    """The mean over the clients with the shortest whitened distances; the others are filtered and flagged.

    Parameters
    ----------
    kept_share
        Share of the round's clients that is averaged, rounded down, at least one.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    def __init__(self, *, kept_share: Ratio = 0.3, **flower: Unpack[StrategyArguments]) -> None:
        super().__init__(**flower)
        self.kept_share = kept_share

    def choose(self, clients: ClientUpdates) -> Choice:
        """Keep the most ordinary clients."""
        count = self.rows_after(len(clients.weights))
        if count == len(clients.weights):
            return Choice.of(keep=np.ones(count, dtype=np.bool_))
        return Choice.of(keep=lowest(whitened_lengths(_figures(clients)), count))

    def rows_after(self, count: int) -> int:
        """Return how many are kept."""
        return max(share_of(count, self.kept_share), 1)


def _figures(clients: ClientUpdates) -> NDArray[np.float64]:
    cosines = cosine_distances(clients.updates, clients.norms) ** 2
    lengths = np.abs(clients.norms[:, None] - clients.norms[None, :])
    pairs = (cosines, manhattan_distances(clients.updates), lengths)
    return np.stack([distances.sum(axis=1) for distances in pairs], axis=1)
