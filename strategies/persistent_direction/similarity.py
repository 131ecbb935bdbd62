"""How alike clients are over rounds: the mean product of one's terms with the other's of other rounds.

Two clients that happen to draw similar batches are alike in one round. Products of different rounds leave
that out: what remains is what both keep doing. What both do now and then is heard in the mean cube.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from strategies.persistent_direction.memory import Memory, newest

Similarity = NDArray[np.float64]
"""Mean products of unit terms, float64 ``(n_known, n_known)``, in [-1, 1]."""

FEWEST_TERMS = 3
"""A client is known once it has taken part so often: fewer products say little about their spread."""

POWERS = (1, 3)
"""Of products: their mean tells what clients keep doing, that of their cubes what they do now and then."""

RECENT_TERMS = (4, 8)
"""What a client did lately: few terms, so that who changed is soon seen, or more, which are less noisy."""


@dataclass(frozen=True)
class Similarities:
    """How alike the known clients are.

    Parameters
    ----------
    client_ids
        Known clients, int64 ``(n_known,)``, ascending.
    owners
        Whose each term is, as an index into `client_ids`, int64 ``(n_terms,)``.
    rounds
        Of each term, int64 ``(n_terms,)``, ascending.
    cosines
        Of each term with each of another round, float64 ``(n_terms, n_terms)``; 0 within a round.
    terms
        Where each term is in the memory, int64 ``(n_terms,)``, ascending.
    """

    client_ids: NDArray[np.int64]
    owners: NDArray[np.int64]
    rounds: NDArray[np.int64]
    cosines: NDArray[np.float64]
    terms: NDArray[np.int64]

    @cached_property
    def mean(self) -> Similarity:
        """Mean product of terms of different rounds; on the diagonal of a client's own."""
        return self._sums(1) / self.num_products

    @cached_property
    def mean_cube(self) -> Similarity:
        """Mean cube of the same products: a few large ones rule it, where all of them share in the mean.

        Attackers of which one attacks in each round are much alike in a ninth of all pairs of rounds if there
        are three, and else as unlike as others.
        """
        return self._sums(3) / self.num_products

    @property
    def means(self) -> tuple[Similarity, Similarity]:
        """The mean product and the mean cube, as in `POWERS`."""
        return self.mean, self.mean_cube

    @cached_property
    def noise_std(self) -> NDArray[np.float64]:
        """Standard deviation of each mean that follows from the spread of the products it is taken over.

        float64 ``(n_known, n_known)``.
        """
        spread = _spread(self._sums(2) - self.num_products * self.mean**2, self.num_products)
        deviations: Similarity = np.sqrt(spread / self.num_products)
        return deviations

    @cached_property
    def num_products(self) -> NDArray[np.float64]:
        """How many products each mean is taken over, at least 1, float64 ``(n_known, n_known)``."""
        different = (self.rounds[:, None] != self.rounds).astype(np.float64)
        counts: Similarity = np.maximum(self.belongs @ different @ self.belongs.T, 1)
        return counts

    @cached_property
    def belongs(self) -> NDArray[np.float64]:
        """1 where a term is a client's, else 0, float64 ``(n_known, n_terms)``."""
        indices = np.arange(len(self.client_ids))
        belongs: Similarity = (indices[:, None] == self.owners).astype(np.float64)
        return belongs

    def of(self, client_ids: NDArray[np.int64]) -> "Similarities":
        """Return the same of some of the clients."""
        return self._only(np.flatnonzero(np.isin(self.client_ids[self.owners], client_ids)))

    def recent(self, num_terms: int) -> "Similarities":
        """Return the same over each client's last terms."""
        return self._only(newest(self.owners, num_terms))

    def _sums(self, power: int) -> NDArray[np.float64]:
        """Return sums of powers of the products of two clients' terms, float64 ``(n_known, n_known)``."""
        sums: Similarity = self.belongs @ self.cosines**power @ self.belongs.T
        return sums

    def _only(self, kept: NDArray[np.intp]) -> "Similarities":
        clients, owners = np.unique(self.owners[kept], return_inverse=True)
        cosines = self.cosines[np.ix_(kept, kept)]
        return Similarities(self.client_ids[clients], owners, self.rounds[kept], cosines, self.terms[kept])


def similarities(memory: Memory) -> Similarities:
    """Compare all clients that have taken part at least `FEWEST_TERMS` times."""
    known, owners, counts = np.unique(memory.client_ids, return_inverse=True, return_counts=True)
    different = memory.rounds[:, None] != memory.rounds
    terms = np.arange(len(memory.rounds))
    everybody = Similarities(known, owners, memory.rounds, _cosines(memory) * different, terms)
    return everybody.of(known[counts >= FEWEST_TERMS])


def views(everybody: Similarities) -> list[Similarities]:
    """Return how alike clients are over all their terms and, where these are fewer, over the last ones."""
    found = [everybody]
    for num_terms in sorted(RECENT_TERMS, reverse=True):
        lately = everybody.recent(num_terms)
        if len(lately.owners) < len(found[-1].owners):
            found.append(lately)
    return found


def _cosines(memory: Memory) -> NDArray[np.float64]:
    """Return cosines of terms; 0 where a term has no direction."""
    lengths = np.sqrt(np.diag(memory.products))
    both = np.outer(lengths, lengths)
    cosines: Similarity = np.divide(memory.products, both, out=np.zeros_like(both), where=both > 0)
    return cosines


def _spread(sums_of_squares: NDArray[np.float64], num_products: NDArray[np.float64]) -> float:
    """Return the variance of a product around its pair's mean, pooled over the pairs of different clients."""
    upper = np.triu_indices(len(sums_of_squares), 1)
    freedom = float((num_products[upper] - 1).sum())
    return max(float(sums_of_squares[upper].sum()), 0.0) / freedom if freedom > 0 else 0.0
