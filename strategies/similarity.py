"""How alike clients are over rounds: the mean product of one's terms with the other's of other rounds.

Two clients that happen to draw similar batches are alike in one round. Products of different rounds leave
that out: what remains is what both keep doing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strategies.memory import Memory

Similarity = NDArray[np.float64]
"""Mean products of unit terms, float64 ``(n_known, n_known)``, in [-1, 1]."""

FEWEST_TERMS = 3
"""A client is known once it has taken part so often: fewer products say little about their spread."""


@dataclass(frozen=True)
class Similarities:
    """How alike the known clients are.

    Parameters
    ----------
    client_ids
        Known clients, int64 ``(n_known,)``, ascending.
    mean
        Mean product of terms of different rounds; on the diagonal of a client's own.
    noise_std
        Standard deviation of each mean that follows from the spread of the products it is taken over,
        float64 ``(n_known, n_known)``.
    """

    client_ids: NDArray[np.int64]
    mean: Similarity
    noise_std: NDArray[np.float64]

    def of(self, client_ids: NDArray[np.int64]) -> "Similarities":
        """Return the same of some of the clients."""
        kept = np.flatnonzero(np.isin(self.client_ids, client_ids))
        pairs = np.ix_(kept, kept)
        return Similarities(self.client_ids[kept], self.mean[pairs], self.noise_std[pairs])


def similarities(memory: Memory) -> Similarities:
    """Compare all clients that have taken part at least `FEWEST_TERMS` times."""
    ids, counts = np.unique(memory.client_ids, return_counts=True)
    known = ids[counts >= FEWEST_TERMS]
    belongs = (known[:, None] == memory.client_ids).astype(np.float64)
    different = (memory.rounds[:, None] != memory.rounds).astype(np.float64)
    products = _unit_products(memory) * different
    num_products = np.maximum(belongs @ different @ belongs.T, 1)
    mean = belongs @ products @ belongs.T / num_products
    squares = belongs @ products**2 @ belongs.T
    noise_std = np.sqrt(_spread(squares - num_products * mean**2, num_products) / num_products)
    return Similarities(known, mean, noise_std)


def _unit_products(memory: Memory) -> NDArray[np.float64]:
    """Return cosines of terms; 0 where a term has no direction."""
    lengths = np.sqrt(np.diag(memory.products).astype(np.float64))
    both = np.outer(lengths, lengths)
    cosines: Similarity = np.divide(memory.products, both, out=np.zeros_like(both), where=both > 0)
    return cosines


def _spread(sums_of_squares: NDArray[np.float64], num_products: NDArray[np.float64]) -> float:
    """Return the variance of a product around its pair's mean, pooled over the pairs of different clients."""
    upper = np.triu_indices(len(sums_of_squares), 1)
    freedom = float((num_products[upper] - 1).sum())
    return max(float(sums_of_squares[upper].sum()), 0.0) / freedom if freedom > 0 else 0.0
