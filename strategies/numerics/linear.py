"""Sums, norms and distances of the rows of an update matrix."""

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.types import ClientVector, ParameterVector, UpdateMatrix
from strategies.numerics.columns import ALL, CHUNK_COLUMNS, Rows, columnwise, stripes, summed
from strategies.numerics.threads import in_order

CANCELLED_SINGLE, CANCELLED_DOUBLE = 1e-1, 1e-6
"""A squared distance below this share of the squared lengths lost 1 of float32's digits, 6 of float64's."""

SMALLEST_SINGLE = 1e-28
"""Mean squares below this may owe digits to float32's smallest numbers."""

Squares = NDArray[np.float64]
"""Squared distances, float64 ``(n_clients, n_clients)``."""


def weighted_sum(weights: ClientVector, updates: UpdateMatrix) -> ParameterVector:
    """Return Σ_i weights_i · updates_i, float32 ``(n_params,)``, summed in float64."""
    used = np.flatnonzero(weights)
    rows: Rows = ALL if len(used) == len(weights) else used
    return columnwise(lambda chunk: weights[rows] @ chunk, updates, rows, np.float64)


def scaled_rows(coefficients: ClientVector, updates: UpdateMatrix, rows: NDArray[np.intp]) -> UpdateMatrix:
    """Return some rows, each times its coefficient, as a new matrix ``(len(rows), n_params)``."""
    factors = coefficients.astype(np.float32)[:, None]
    scaled = np.empty((len(rows), updates.shape[1]), dtype=np.float32)

    def fill(stripe: list[slice]) -> None:
        for columns in stripe:
            np.multiply(updates[rows, columns], factors, out=scaled[:, columns])

    for _ in in_order(fill, stripes(updates.shape)):
        pass
    return scaled


def add_to_rows(total: UpdateMatrix, rows: NDArray[np.intp], updates: UpdateMatrix) -> None:
    """Add each update to the row of `total` that `rows` names, each at most once."""

    def add(stripe: list[slice]) -> None:
        for columns in stripe:
            total[rows, columns] += updates[:, columns]

    for _ in in_order(add, stripes(updates.shape)):
        pass


def pulled_rows(updates: UpdateMatrix, point: ParameterVector, coefficients: ClientVector) -> UpdateMatrix:
    """Return point + coefficients_i · (updates_i - point) for each row, as a new matrix."""
    kept, pulled = coefficients[:, None], np.empty_like(updates)

    def fill(stripe: list[slice]) -> None:
        for columns in stripe:
            pulled[:, columns] = kept * updates[:, columns] + (1 - kept) * point[columns].astype(np.float64)

    for _ in in_order(fill, stripes(updates.shape)):
        pass
    return pulled


def mixed_rows(shares: NDArray[np.float64], updates: UpdateMatrix) -> UpdateMatrix:
    """Return ``shares @ updates``, float32 ``(n_rows, n_params)``, summed in float64.

    Parameters
    ----------
    shares
        float64 ``(n_rows, n_clients)``.
    updates
        float32 ``(n_clients, n_params)``.
    """
    mixed = np.empty((len(shares), updates.shape[1]), dtype=np.float32)

    def fill(stripe: list[slice]) -> None:
        for columns in stripe:
            mixed[:, columns] = shares @ updates[:, columns].astype(np.float64)

    for _ in in_order(fill, stripes(updates.shape)):
        pass
    return mixed


def norms(updates: UpdateMatrix) -> ClientVector:
    """Return the L2 norm of each row, float64 ``(n_clients,)``."""
    return np.sqrt(summed(lambda chunk: np.vecdot(chunk, chunk), updates))


def distances_from(point: ParameterVector, updates: UpdateMatrix) -> ClientVector:
    """Return ‖updates_i - point‖₂, float64 ``(n_clients,)``.

    Differences are taken before they are squared: digits that rows and point have in common do not matter.

    Parameters
    ----------
    point
        float32 ``(n_params,)``.
    updates
        float32 ``(n_clients, n_params)``.
    """

    def squares(stripe: list[slice]) -> ClientVector:
        total = np.zeros(len(updates))
        for columns in stripe:
            apart = updates[:, columns].astype(np.float64)
            apart -= point[columns]
            total += np.vecdot(apart, apart)
        return total

    return np.sqrt(sum(in_order(squares, stripes(updates.shape)), np.zeros(len(updates))))


def distances_between(
    updates: UpdateMatrix, others: UpdateMatrix, rows: NDArray[np.intp], shift: ParameterVector
) -> ClientVector:
    """Return ‖updates_i - (others_rows_i + shift)‖₂, float64 ``(n_clients,)``, with differences first.

    Parameters
    ----------
    updates, others
        float32 ``(n_clients, n_params)``; others may be more.
    rows
        Which of `others` each is compared with.
    shift
        float32 ``(n_params,)``.
    """

    def squares(stripe: list[slice]) -> ClientVector:
        total = np.zeros(len(updates))
        for columns in stripe:
            apart = updates[:, columns].astype(np.float64)
            apart -= others[rows, columns]
            apart -= shift[columns]
            total += np.vecdot(apart, apart)
        return total

    return np.sqrt(sum(in_order(squares, stripes(updates.shape)), np.zeros(len(updates))))


def products_with(point: ParameterVector, updates: UpdateMatrix) -> ClientVector:
    """Return ⟨updates_i, point⟩, float64 ``(n_clients,)``."""

    def products(stripe: list[slice]) -> ClientVector:
        total = np.zeros(len(updates))
        for columns in stripe:
            total += updates[:, columns].astype(np.float64) @ point[columns].astype(np.float64)
        return total

    return sum(in_order(products, stripes(updates.shape)), np.zeros(len(updates)))


def mean_distances(squared: Squares) -> ClientVector:
    """Return each row's mean distance to the others, float64 ``(n_clients,)``; 0 for a single row."""
    num_clients = len(squared)
    if num_clients == 1:
        return np.zeros(1)
    distances: ClientVector = np.sqrt(squared).sum(axis=1) / (num_clients - 1)
    return distances


def squared_distances(updates: UpdateMatrix) -> Squares:
    """Return ‖updates_i - updates_j‖₂², float64 ``(n_clients, n_clients)``, zeros on the diagonal.

    By Gram products, ‖x - y‖² = ‖x‖² + ‖y‖² - 2⟨x, y⟩, of rows that are first moved so that the origin lies
    among them. A product loses its digits where two rows are much nearer to each other than to the origin;
    such rows go into another one, in float64, with one of them as the origin.
    """
    squared, unknown = _first_guess(updates)
    while unknown.any():
        origin = int(np.argmax(unknown.sum(axis=1)))
        rows = np.append(origin, np.flatnonzero(unknown[origin]))
        found, sums = _from_gram(summed(_gram_around_first, updates, rows))
        pairs = np.ix_(rows, rows)
        right = found >= CANCELLED_DOUBLE * sums
        right[0] = right[:, 0] = True  # lengths from the origin
        squared[pairs] = np.where(unknown[pairs] & right, found, squared[pairs])
        unknown[pairs] &= ~right
    return squared


def _first_guess(updates: UpdateMatrix) -> tuple[Squares, NDArray[np.bool_]]:
    """Return squared distances from float32 products around the mean, and which of them cannot be trusted.

    float32 is twice as fast, and over many columns its roundings cancel out; over few they do not, and there
    is little to gain.
    """
    num_clients, num_params = updates.shape
    unknown = ~np.eye(num_clients, dtype=np.bool_)
    if num_params <= CHUNK_COLUMNS:
        return np.zeros((num_clients, num_clients)), unknown
    # A huge row leaves infinities and NaN, which no comparison below holds for.
    with np.errstate(invalid="ignore"):
        squared, sums = _from_gram(summed(_gram_around_mean, updates, dtype=np.float32))
        right = (squared >= CANCELLED_SINGLE * sums) & (sums > SMALLEST_SINGLE * num_params)
    right &= np.isfinite(sums)
    return np.where(right, squared, 0), unknown & ~right


def _gram_around_mean(chunk: NDArray[np.float32]) -> NDArray[np.float32]:
    chunk -= chunk.mean(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        product: NDArray[np.float32] = chunk @ chunk.T
    return product


def _gram_around_first(chunk: NDArray[np.float64]) -> NDArray[np.float64]:
    chunk -= chunk[0].copy()
    product: NDArray[np.float64] = chunk @ chunk.T
    return product


def _from_gram(gram: NDArray[np.float64]) -> tuple[Squares, NDArray[np.float64]]:
    """Return the squared distance of each pair of rows, and the sum of their squared lengths."""
    squares = np.diag(gram)
    sums = squares[:, None] + squares[None, :]
    squared = sums - 2 * gram
    np.fill_diagonal(squared, 0)
    return squared, sums
