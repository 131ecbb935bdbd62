"""Outliers by the interquartile range (J. W. Tukey, Exploratory Data Analysis, 1977, section 2D)."""

import numpy as np

from fl_backdoor.core.types import ClientMask, ClientVector

ROUNDING = 1e-6
"""Slack relative to Q3: values that are equal but for float32's rounding are no outliers of each other.

Relative to a quartile and not to the maximum, because one client alone can raise that as it likes.
"""


def iqr_bounds(values: ClientVector, k: float) -> tuple[float, float]:
    """Return Q1 - k·IQR and Q3 + k·IQR; quartiles interpolate linearly between order statistics."""
    first, third = np.percentile(values, [25, 75])
    margin = k * (third - first)
    return float(first - margin), float(third + margin)


def above(values: ClientVector, k: float) -> ClientMask:
    """Return which values, none of them negative, exceed Q3 + k·IQR."""
    is_above: ClientMask = values > iqr_bounds(values, k)[1] + _slack(values)
    return is_above


def outside(values: ClientVector, k: float) -> ClientMask:
    """Return which values, none of them negative, lie outside [Q1 - k·IQR, Q3 + k·IQR]."""
    is_below: ClientMask = values < iqr_bounds(values, k)[0] - _slack(values)
    return is_below | above(values, k)


def _slack(values: ClientVector) -> float:
    return ROUNDING * float(np.percentile(values, 75))
