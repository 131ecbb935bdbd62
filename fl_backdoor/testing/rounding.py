"""How far float32's rounding may take a result from what it is in exact numbers."""

import numpy as np
from numpy.typing import NDArray


def last_digits(values: NDArray[np.floating]) -> float:
    """Return four times the last digit of the largest of `values`, as float32 has it.

    A sum over clients may be so far from the exact one where each summand is rounded once.
    """
    return 4 * float(np.finfo(np.float32).eps) * float(np.abs(values).max())


def assert_among(found: NDArray[np.float32], rows: NDArray[np.float32]) -> None:
    """See that each value of ``(n,)`` lies between the least and the largest of its column, but for rounding.

    `rows` is ``(m, n)``.
    """
    digit = np.spacing(np.abs(rows).max(axis=0))
    assert (found >= rows.min(axis=0) - digit).all(), "below the least of the updates"
    assert (found <= rows.max(axis=0) + digit).all(), "above the largest of the updates"
