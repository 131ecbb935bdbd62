"""What a defence remembers of past updates: their signs, and the products of each with each.

Products of signs are whole numbers: they are exact, in whatever order they are summed.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from strategies.signs import Signs


@dataclass(frozen=True)
class Memory:
    """Terms, one a client and round, the oldest first.

    Parameters
    ----------
    signs
        int8 ``(n_terms, n_coordinates)``.
    products
        Of each term with each, float32 ``(n_terms, n_terms)``, whole numbers.
    client_ids, rounds
        Whose it is and of which round, int64 ``(n_terms,)``.
    """

    signs: Signs
    products: NDArray[np.float32]
    client_ids: NDArray[np.int64]
    rounds: NDArray[np.int64]

    @classmethod
    def empty(cls, num_coordinates: int) -> "Memory":
        """Return a memory of nothing."""
        nobody = np.zeros(0, dtype=np.int64)
        return cls(np.zeros((0, num_coordinates), np.int8), np.zeros((0, 0), np.float32), nobody, nobody)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> "Memory":
        """Return the memory that `as_arrays` took apart."""
        return cls(**{name: np.array(arrays[name]) for name in cls.__dataclass_fields__})

    def as_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return what is remembered, by name."""
        return asdict(self)

    def after(self, server_round: int, client_ids: NDArray[np.int64], signs: Signs, span: int) -> "Memory":
        """Return the memory after a round; of each client the last `span` terms are kept."""
        new = signs.astype(np.float32)
        across = _products(self.signs, new)
        together = Memory(
            signs=np.concatenate([self.signs, signs]),
            products=np.block([[self.products, across], [across.T, new @ new.T]]),
            client_ids=np.concatenate([self.client_ids, client_ids]),
            rounds=np.concatenate([self.rounds, np.full(len(client_ids), server_round)]),
        )
        return together._only(newest(together.client_ids, span))

    def _only(self, kept: NDArray[np.intp]) -> "Memory":
        if len(kept) == len(self.rounds):
            return self
        products = self.products[np.ix_(kept, kept)]
        return Memory(self.signs[kept], products, self.client_ids[kept], self.rounds[kept])


def _products(signs: Signs, new: NDArray[np.float32], rows: int = 256) -> NDArray[np.float32]:
    """Return the products of old signs with new ones; a few rows at a time are turned into numbers."""
    parts = [signs[start : start + rows].astype(np.float32) @ new.T for start in range(0, len(signs), rows)]
    return np.concatenate([np.zeros((0, len(new)), np.float32), *parts])


def newest(client_ids: NDArray[np.int64], span: int) -> NDArray[np.intp]:
    """Return the places of each client's last `span` terms, ascending."""
    kept = [np.flatnonzero(client_ids == client_id)[-span:] for client_id in np.unique(client_ids)]
    return np.sort(np.concatenate([np.zeros(0, np.intp), *kept]))
