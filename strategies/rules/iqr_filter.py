"""IQR filter: clients whose mean distance to the others is an outlier are left out of the mean.

The first defence of the article that this project grew from (docs/reproduction.md): pairwise Euclidean
distances between client updates, outliers by the interquartile range. Distances see
trained parameters alone (``server.buffers`` restores the listing's behaviour).

Cost: the distances of all pairs, one product of ``(n, d)`` with ``(d, n)``.
"""

from typing import Unpack

from fl_backdoor.core.types import NonNegative
from strategies.base import ClientUpdates
from strategies.chain.kinds import ChoiceStep
from strategies.chain.rows import Choice
from strategies.numerics.iqr import outside
from strategies.robust_strategy import StrategyArguments


class IQRFilter(ChoiceStep):
    """The weighted mean over clients with d_i in [Q1 - k·IQR, Q3 + k·IQR].

    Of buffers the median over these clients is taken.

    Parameters
    ----------
    iqr_k
        k, in units of the interquartile range.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    def __init__(self, *, iqr_k: NonNegative = 1.5, **flower: Unpack[StrategyArguments]) -> None:
        super().__init__(**flower)
        self.iqr_k = iqr_k

    def choose(self, clients: ClientUpdates) -> Choice:
        """Keep the clients that are no outliers."""
        return Choice.of(keep=~outside(clients.mean_distances, self.iqr_k))
