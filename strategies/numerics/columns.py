"""Functions of an update matrix, computed chunk by chunk of columns.

Chunks stay in a core's caches, and keep copies small: a matrix of 100 clients and 11 M parameters is 4.4 GB
as it is. Where chunks begin and in which order they are summed depends on the matrix's shape alone, so
results do not depend on the number of threads.
"""

from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.types import ParameterVector, UpdateMatrix
from strategies.numerics.threads import in_order

CHUNK_COLUMNS = 1 << 13
CHUNK_ENTRIES = 1 << 20
"""Most columns and (but for 1,024 columns) most entries of a chunk."""

MOST_STRIPES = 32
"""Into how many stripes of neighbouring chunks a matrix is split; one thread works on a stripe."""

ALL = slice(None)

Rows = slice | NDArray[np.intp]
"""Which rows of the matrix take part."""

ChunkFunction = Callable[[NDArray[Any]], NDArray[Any]]
"""A function of a chunk ``(n_rows, n_columns)``, which is a copy that it may overwrite."""


def columnwise(
    function: ChunkFunction,
    updates: UpdateMatrix,
    rows: Rows = ALL,
    dtype: type[np.floating[Any]] = np.float32,
    order: Literal["C", "F"] = "C",
) -> ParameterVector:
    """Return `function` of each column, float32 ``(n_params,)``.

    Parameters
    ----------
    function
        From a chunk to one number a column.
    updates
        float32 ``(n_clients, n_params)``.
    rows
        Which of them `function` sees.
    dtype, order
        Type of the chunks, and their memory layout: "F" keeps each column together.
    """
    result = np.empty(updates.shape[1], dtype=np.float32)

    def fill(stripe: list[slice]) -> None:
        for columns, chunk in _copies(updates, rows, stripe, np.dtype(dtype), order):
            result[columns] = function(chunk)

    for _ in in_order(fill, stripes(updates.shape)):
        pass
    return result


def summed(
    function: ChunkFunction,
    updates: UpdateMatrix,
    rows: Rows = ALL,
    dtype: type[np.floating[Any]] = np.float64,
) -> NDArray[np.float64]:
    """Return the sum of `function` over all chunks, float64 in the shape that it returns."""

    def total(stripe: list[slice]) -> NDArray[np.float64]:
        copies = _copies(updates, rows, stripe, np.dtype(dtype), "C")
        return _sum(function(chunk) for _, chunk in copies)

    return _sum(in_order(total, stripes(updates.shape)))


def stripes(shape: tuple[int, ...]) -> list[list[slice]]:
    """Split the columns of a matrix into stripes of chunks."""
    num_rows, num_columns = shape
    width = min(CHUNK_COLUMNS, max(CHUNK_ENTRIES // num_rows, 1024))
    chunks = [slice(start, min(start + width, num_columns)) for start in range(0, num_columns, width)]
    length = -(-len(chunks) // MOST_STRIPES)
    return [chunks[start : start + length] for start in range(0, len(chunks), length)]


def _copies(
    updates: UpdateMatrix, rows: Rows, stripe: list[slice], dtype: np.dtype[Any], order: Literal["C", "F"]
) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Yield each chunk of a stripe, copied into the same memory: fresh memory costs more than the copy."""
    widest = stripe[0].stop - stripe[0].start
    num_rows = len(updates) if isinstance(rows, slice) else len(rows)
    memory = np.empty((num_rows, widest), dtype=dtype, order=order)
    for columns in stripe:
        chunk = memory[:, : columns.stop - columns.start]
        chunk[...] = updates[rows, columns]
        yield columns, chunk


def _sum(terms: Iterator[NDArray[Any]]) -> NDArray[np.float64]:
    total: NDArray[np.float64] = next(terms).astype(np.float64)
    for term in terms:
        total += term
    return total
