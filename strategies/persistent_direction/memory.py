"""What a defence remembers of past updates: vectors of whole numbers, and the products of each with each.

Products of whole numbers are exact, in whatever order they are summed.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.int8 | np.int16]
"""Whole numbers, ``(n_terms, n_coordinates)``."""

MOST_COORDINATES = 1 << 23
"""Up to here float64 holds each product of int16 vectors."""


@dataclass(frozen=True)
class Memory:
    """Terms, one a client and round, the oldest first.

    Parameters
    ----------
    vectors
        What is remembered of each update.
    products
        Of each term with each, float64 ``(n_terms, n_terms)``, whole numbers.
    client_ids, rounds
        Whose it is and of which round, int64 ``(n_terms,)``.
    """

    vectors: Vectors
    products: NDArray[np.float64]
    client_ids: NDArray[np.int64]
    rounds: NDArray[np.int64]

    @classmethod
    def empty(cls, num_coordinates: int, dtype: type[np.int8] | type[np.int16] = np.int8) -> "Memory":
        """Return a memory of nothing."""
        nobody = np.zeros(0, dtype=np.int64)
        return cls(np.zeros((0, num_coordinates), dtype), np.zeros((0, 0)), nobody, nobody)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> "Memory":
        """Return the memory that `as_arrays` took apart."""
        return cls(**{name: np.array(arrays[name]) for name in cls.__dataclass_fields__})

    def as_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return what is remembered, by name."""
        return asdict(self)

    def after(
        self, server_round: int, client_ids: NDArray[np.int64], vectors: Vectors, span: int
    ) -> "Memory":
        """Return the memory after a round; of each client the last `span` terms are kept."""
        new = vectors.astype(np.float64)
        across = _products(self.vectors, new)
        together = Memory(
            vectors=np.concatenate([self.vectors, vectors]),
            products=np.block([[self.products, across], [across.T, new @ new.T]]),
            client_ids=np.concatenate([self.client_ids, client_ids]),
            rounds=np.concatenate([self.rounds, np.full(len(client_ids), server_round)]),
        )
        return together._only(newest(together.client_ids, span))

    def _only(self, kept: NDArray[np.intp]) -> "Memory":
        if len(kept) == len(self.rounds):
            return self
        products = self.products[np.ix_(kept, kept)]
        return Memory(self.vectors[kept], products, self.client_ids[kept], self.rounds[kept])


def _products(old: Vectors, new: NDArray[np.float64], rows: int = 256) -> NDArray[np.float64]:
    """Return the products of old vectors with new ones; a few rows at a time are turned into float64."""
    parts = [old[start : start + rows].astype(np.float64) @ new.T for start in range(0, len(old), rows)]
    return np.concatenate([np.zeros((0, len(new))), *parts])


def newest(client_ids: NDArray[np.int64], span: int) -> NDArray[np.intp]:
    """Return the indices of each client's last `span` terms, ascending."""
    kept = [np.flatnonzero(client_ids == client_id)[-span:] for client_id in np.unique(client_ids)]
    return np.sort(np.concatenate([np.zeros(0, np.intp), *kept]))
