"""Coordinate-wise trimmed mean.

D. Yin, Y. Chen, K. Ramchandran and P. Bartlett, Byzantine-Robust Distributed Learning: Towards Optimal
Statistical Rates, ICML 2018, https://arxiv.org/abs/1803.01498, definition 2. Deviations: updates of several
local steps take the place of gradients; where β·n is no whole number, it is rounded down.

It assumes that no more than a share β of the clients attacks. Cost: a sorting of each coordinate.
"""

from functools import partial
from typing import Annotated, Any, Unpack

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fl_backdoor.core.shares import share_of
from fl_backdoor.core.types import ParameterVector, UpdateMatrix
from strategies.base import Aggregation, ClientUpdates
from strategies.numerics.columns import columnwise
from strategies.robust_strategy import StrategyArguments
from strategies.rules.coordinate_rule import CoordinateRule, mixed


def trimmed_mean(updates: UpdateMatrix, beta: float) -> ParameterVector:
    """Return each column's mean without its β·n smallest and β·n largest values, float32 ``(n_params,)``.

    β is in [0, 0.5).
    """
    return columnwise(partial(_trimmed_mean, beta=beta), updates, order="F")


def _trimmed_mean(chunk: NDArray[Any], beta: float) -> NDArray[np.float64]:
    chunk.sort(axis=0)
    # Under a half of them from either end: something is left, however little β lies under a half.
    cut = min(share_of(len(chunk), beta), (len(chunk) - 1) // 2)
    mean: NDArray[np.float64] = chunk[cut : len(chunk) - cut].mean(axis=0, dtype=np.float64)
    return mean


class TrimmedMean(CoordinateRule):
    """The trimmed mean of each coordinate, buffers included; nobody has a weight, nobody is flagged.

    Parameters
    ----------
    beta
        β, share of values cut off at either end of each coordinate.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    def __init__(
        self, *, beta: Annotated[float, Field(ge=0, lt=0.5)] = 0.2, **flower: Unpack[StrategyArguments]
    ) -> None:
        super().__init__(**flower)
        self.beta = beta

    def aggregate(self, clients: ClientUpdates) -> Aggregation:
        """Return the trimmed mean of the updates."""
        nobody = np.zeros(len(clients.weights), dtype=np.bool_)
        return mixed(trimmed_mean(clients.updates, self.beta), left_out=nobody)

    def merge_buffers(self, values: NDArray[np.float64], aggregation: Aggregation) -> NDArray[np.float64]:
        """Return the trimmed mean of buffers: in the range of honest values if at most β·n clients lie."""
        return _trimmed_mean(values.copy(), self.beta)
