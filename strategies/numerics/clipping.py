"""By what updates are multiplied so that none is longer than a bound."""

import numpy as np

from fl_backdoor.core.types import ClientMask, ClientVector


def clip_coefficients(norms: ClientVector, bound: float) -> ClientVector:
    """Return min(1, bound / norm) for each client; 1 where the norm is 0."""
    # The division is left out where nothing is clipped: norm and bound may both be 0.
    return np.divide(bound, norms, out=np.ones_like(norms), where=norms > bound)


def clipped_to_median(norms: ClientVector, trusted: ClientMask) -> ClientVector:
    """Return coefficients under which nothing is longer than the median of the trusted, or of all."""
    those = norms[trusted] if trusted.any() else norms
    return clip_coefficients(norms, float(np.median(those)))
