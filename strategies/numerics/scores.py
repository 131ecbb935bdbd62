"""How far a client's number lies from the others'."""

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.types import ClientVector
from strategies.numerics.rounding import ROUNDING


def median_z_scores(values: ClientVector, size: float) -> ClientVector:
    """Return |x_i - median| / standard deviation, float64 ``(n_clients,)``; 0 if only roundings differ.

    Parameters
    ----------
    values
        One a client, float64 ``(n_clients,)``.
    size
        Of the values: a standard deviation below `ROUNDING` times this is rounding.
    """
    deviation = float(np.std(values))
    apart: NDArray[np.float64] = np.abs(values - np.median(values))
    return apart / deviation if deviation > ROUNDING * size else np.zeros_like(apart)
