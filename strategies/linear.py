"""Sums over the rows of an update matrix, in float64 and in chunks of columns.

Chunks keep the float64 copy small: a matrix of 100 clients and 11 M parameters is 4.4 GB as it is.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.types import ClientVector, ParameterVector, UpdateMatrix

CHUNK_COLUMNS = 1 << 16

CANCELLED = 1e-6
"""A squared distance below this share of the squared lengths has lost 6 or more of float64's 16 digits."""


def weighted_sum(weights: ClientVector, updates: UpdateMatrix) -> ParameterVector:
    """Return Σ_i weights_i · updates_i, float32 ``(n_params,)``."""
    total = np.empty(updates.shape[1], dtype=np.float32)
    for columns in _chunks(updates.shape[1]):
        total[columns] = weights @ updates[:, columns].astype(np.float64)
    return total


def norms(updates: UpdateMatrix) -> ClientVector:
    """Return the L2 norm of each row, float64 ``(n_clients,)``."""
    squares = np.zeros(updates.shape[0])
    for columns in _chunks(updates.shape[1]):
        chunk = updates[:, columns].astype(np.float64)
        squares += np.einsum("ij,ij->i", chunk, chunk)
    return np.sqrt(squares)


def pairwise_distances(updates: UpdateMatrix) -> NDArray[np.float64]:
    """Return ‖updates_i - updates_j‖₂, float64 ``(n_clients, n_clients)``, zeros on the diagonal.

    One Gram product, ‖x - y‖² = ‖x‖² + ‖y‖² - 2⟨x, y⟩. It loses its digits where two rows are much nearer
    to each other than they are long; such pairs are subtracted one by one.
    """
    num_clients = updates.shape[0]
    gram = np.zeros((num_clients, num_clients))
    for columns in _chunks(updates.shape[1]):
        chunk = updates[:, columns].astype(np.float64)
        gram += chunk @ chunk.T
    squares = np.diag(gram)
    sums = squares[:, None] + squares[None, :]
    squared = sums - 2 * gram
    np.fill_diagonal(squared, 0)
    for i, j in np.argwhere(np.triu(squared < CANCELLED * sums, k=1)):
        difference = updates[i].astype(np.float64) - updates[j]
        squared[i, j] = squared[j, i] = difference @ difference
    return np.sqrt(squared)


def mean_distances(updates: UpdateMatrix) -> ClientVector:
    """Return each row's mean distance to the others, float64 ``(n_clients,)``; 0 for a single row."""
    num_clients = updates.shape[0]
    if num_clients == 1:
        return np.zeros(1)
    distances: ClientVector = pairwise_distances(updates).sum(axis=1) / (num_clients - 1)
    return distances


def _chunks(num_columns: int) -> Iterator[slice]:
    for start in range(0, num_columns, CHUNK_COLUMNS):
        yield slice(start, start + CHUNK_COLUMNS)
