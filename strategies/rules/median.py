"""Coordinate-wise median.

D. Yin, Y. Chen, K. Ramchandran and P. Bartlett, Byzantine-Robust Distributed Learning: Towards Optimal
Statistical Rates, ICML 2018, https://arxiv.org/abs/1803.01498, definition 1. Deviation: updates of several
local steps take the place of gradients.

It assumes that more than half of the clients are benign. Cost: a sorting of each coordinate.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.types import ParameterVector, UpdateMatrix
from strategies.base import Aggregation, ClientUpdates
from strategies.numerics.columns import columnwise
from strategies.rules.coordinate_rule import CoordinateRule, in_the_middle, mixed


def median(updates: UpdateMatrix) -> ParameterVector:
    """Return the median of each column, float32 ``(n_params,)``."""
    return columnwise(_median, updates, order="F")


def _median(chunk: NDArray[Any]) -> NDArray[np.float32]:
    chunk.sort(axis=0)
    return in_the_middle(chunk)


class Median(CoordinateRule):
    """The median of each coordinate, buffers included; nobody has a weight, nobody is flagged."""

    def aggregate(self, clients: ClientUpdates) -> Aggregation:
        """Return the median of the updates."""
        return mixed(median(clients.updates), left_out=np.zeros(len(clients.weights), dtype=np.bool_))
