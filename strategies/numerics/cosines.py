"""Cosines between updates."""

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.types import ClientVector, ParameterVector, UpdateMatrix
from strategies.numerics.columns import summed
from strategies.numerics.linear import products_with

DIGITS = 6
"""Of a cosine distance; float32's roundings stay below."""


def cosine_distances(updates: UpdateMatrix, norms: ClientVector) -> NDArray[np.float64]:
    """Return 1 - cos(Δ_i, Δ_j), float64 ``(n_clients, n_clients)``, in [0, 2], to `DIGITS` digits.

    A row of zeros is at distance 0 from other rows of zeros and at distance 1 from all others.
    """
    scale = np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0)[:, None]

    def product(chunk: NDArray[np.float64]) -> NDArray[np.float64]:
        chunk *= scale
        return chunk @ chunk.T

    cosines = summed(product, updates)
    cosines[np.ix_(norms == 0, norms == 0)] = 1
    np.fill_diagonal(cosines, 1)
    distances = 1 - cosines
    return distances.clip(0, 2).round(DIGITS)


def cosines_with(point: ParameterVector, updates: UpdateMatrix, norms: ClientVector) -> ClientVector:
    """Return cos(Δ_i, point), float64 ``(n_clients,)``; 0 where either is 0."""
    lengths = norms * float(np.linalg.norm(point.astype(np.float64)))
    products = products_with(point, updates)
    return np.divide(products, lengths, out=np.zeros_like(lengths), where=lengths > 0)
