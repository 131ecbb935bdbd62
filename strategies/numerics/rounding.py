"""Comparisons that float32's rounding does not decide: what is equal but for it is on the same side."""

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.types import ClientMask

ROUNDING = 1e-6
"""Slack relative to a size: sums over many float32 differ by less in their last digits."""


def exceeds(values: NDArray[np.float64], bound: float, size: float | None = None) -> ClientMask:
    """Return which values are greater than `bound` by more than rounding.

    Parameters
    ----------
    values
        One a client, none of them negative.
    bound
        What they are compared with.
    size
        What is usual among the values, such as a quartile; None: the bound. Not their maximum, which one
        client alone can raise as it likes.
    """
    found: ClientMask = values > bound + ROUNDING * (bound if size is None else size)
    return found
