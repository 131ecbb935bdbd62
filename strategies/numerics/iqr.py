"""Outliers by the interquartile range (J. W. Tukey, Exploratory Data Analysis, 1977, section 2D)."""

import numpy as np

from fl_backdoor.core.types import ClientMask, ClientVector
from strategies.numerics.rounding import ROUNDING, exceeds


def iqr_bounds(values: ClientVector, k: float) -> tuple[float, float]:
    """Return Q1 - k·IQR and Q3 + k·IQR; quartiles interpolate linearly between order statistics."""
    first, third = np.percentile(values, [25, 75])
    margin = k * (third - first)
    return float(first - margin), float(third + margin)


def above(values: ClientVector, k: float) -> ClientMask:
    """Return which values, none of them negative, exceed Q3 + k·IQR."""
    return exceeds(values, iqr_bounds(values, k)[1], _usual(values))


def outside(values: ClientVector, k: float) -> ClientMask:
    """Return which values, none of them negative, lie outside [Q1 - k·IQR, Q3 + k·IQR]."""
    is_below: ClientMask = values < iqr_bounds(values, k)[0] - ROUNDING * _usual(values)
    return is_below | above(values, k)


def _usual(values: ClientVector) -> float:
    return float(np.percentile(values, 75))
