"""LASA: layer by layer, the mean over those whose sparsified update has a usual length and usual signs.

J. Xu, Z. Zhang and R. Hu, Achieving Byzantine-Resilient Federated Learning via Layer-Adaptive Sparsified
Model Aggregation, WACV 2025, https://arxiv.org/abs/2409.01435. Updates are clipped to the median norm. Then
each clipped update keeps the 1 - s of its coordinates with the largest magnitudes, and of what is left each
layer has two figures a client: its norm, and how many of its signs are positive, (1 + Σ sgn / Σ |sgn| · (1 -
s)) / 2. Whose |x - median| / standard deviation is below λ_n and λ_s is averaged for this layer, with the
clipped update that is not sparsified. As in the authors' code s = 0.3, λ_n = λ_s = 1, a layer is a tensor,
and where nobody passes all do. Deviations: coordinates of tensors with one axis are sparsified like all
others; standard deviations that are rounding do not tell clients apart.

No client has one weight; who passes for no layer counts as left out, and flagged. Cost: three passes over the
updates, and for each client a selection.
"""

from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.shares import share_of
from fl_backdoor.core.types import ClientMask, ClientVector, OpenShare, Positive, UpdateMatrix
from strategies.base import Aggregation, ClientUpdates
from strategies.numerics.clipping import clip_coefficients
from strategies.numerics.columns import summed
from strategies.numerics.largest import magnitude_bounds
from strategies.numerics.linear import weighted_sum
from strategies.numerics.scores import median_z_scores
from strategies.robust_strategy import RobustStrategy, StrategyArguments
from strategies.rules.coordinate_rule import mixed


def layer_figures(
    layer: UpdateMatrix, bounds: NDArray[np.float32], coefficients: ClientVector, sparsity: float
) -> tuple[ClientVector, ClientVector]:
    """Return the norm and the purity of signs of each client's sparsified part of a layer.

    Parameters
    ----------
    layer
        float32 ``(n_clients, n_layer_params)``.
    bounds
        Smaller magnitudes of a client are 0, float32 ``(n_clients,)``.
    coefficients
        What each update is multiplied by, float64 ``(n_clients,)``.
    sparsity
        s, share of coordinates that are 0.
    """

    def sums(chunk: NDArray[Any]) -> NDArray[Any]:
        chunk[np.abs(chunk) < bounds[:, None]] = 0
        positive, negative = (np.count_nonzero(signs, axis=1) for signs in (chunk > 0, chunk < 0))
        return np.stack([np.vecdot(chunk, chunk), positive - negative, positive + negative])

    squares, balance, count = summed(sums, layer)
    pure = np.divide(balance, count, out=np.zeros_like(balance), where=count > 0)
    return np.sqrt(squares) * coefficients, (1 + pure * (1 - sparsity)) / 2


class LASA(RobustStrategy):
    """Each layer the clipped mean over clients that pass its filters.

    Parameters
    ----------
    sparsity
        s, the share of an update's coordinates that is not looked at.
    norm_bound, sign_bound
        λ_n and λ_s, in standard deviations from the median.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    def __init__(
        self,
        *,
        sparsity: OpenShare = 0.3,
        norm_bound: Positive = 1.0,
        sign_bound: Positive = 1.0,
        **flower: Unpack[StrategyArguments],
    ) -> None:
        super().__init__(**flower)
        self.sparsity = sparsity
        self.norm_bound = norm_bound
        self.sign_bound = sign_bound

    def aggregate(self, clients: ClientUpdates) -> Aggregation:
        """Put the layers' means together."""
        coefficients = clip_coefficients(clients.norms, float(np.median(clients.norms)))
        num_params = clients.updates.shape[1]
        kept = max(num_params - share_of(num_params, self.sparsity), 1)
        bounds = magnitude_bounds(clients.updates, kept)
        movement = np.empty(num_params, dtype=np.float32)
        left_out = np.ones(len(clients.weights), dtype=np.bool_)
        start = 0
        for tensor, _ in self.server.layout.parts(movement):
            columns = slice(start, start + tensor.size)
            layer = clients.updates[:, columns]
            passing = self._passing(*layer_figures(layer, bounds, coefficients, self.sparsity))
            weights = np.where(passing, clients.weights, 0.0)
            movement[columns] = weighted_sum(weights / weights.sum() * coefficients, layer)
            left_out &= ~passing
            start = columns.stop
        return mixed(movement, left_out)

    def _passing(self, norms: ClientVector, purity: ClientVector) -> ClientMask:
        usual = median_z_scores(norms, size=float(np.median(norms))) < self.norm_bound
        passing = usual & (median_z_scores(purity, size=1) < self.sign_bound)
        return passing if passing.any() else np.ones_like(passing)
