"""Shares of a count: ``int(100 * 0.29)`` is 28, because no float is 0.29; a share of a count is 29."""

from math import floor

DIGITS = 9
"""Decimals that a product is read to: far more than settings have, far fewer than rounding errors need."""


def share_of(count: int, share: float) -> int:
    """Return how many of `count` a share in [0, 1] is, rounded down only by what is really missing.

    >>> share_of(100, 0.29), share_of(32, 0.052), share_of(32, 0.02)
    (29, 1, 0)
    """
    return floor(round(count * share, DIGITS))
