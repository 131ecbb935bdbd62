"""Bulyan: Krum chooses updates one by one; each coordinate then averages the values around its median.

E. M. El Mhamdi, R. Guerraoui and S. Rouault, The Hidden Vulnerability of Distributed Learning in Byzantium,
ICML 2018, https://arxiv.org/abs/1802.07927, section 4. Deviations: updates of several local steps take the
place of gradients; the last of Krum's choices looks at one neighbour where its formula leaves none (f = 1);
of equal scores the client with the lower score among all clients wins, since two updates that are nearest to
each other tie where one neighbour counts, and the order of clients should not matter; of an even number of
values the median is the mean of the two in the middle, where the paper takes one of them.

It assumes at most f attackers among 4f + 3 clients or more. Cost: the distances of all pairs, and a sorting
of each coordinate.
"""

from functools import partial
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.types import ClientMask, Count, ParameterVector, UpdateMatrix
from strategies.base import Aggregation, ClientUpdates, ServerContext
from strategies.numerics.columns import columnwise
from strategies.numerics.linear import Squares
from strategies.robust_strategy import StrategyArguments
from strategies.rules.coordinate_rule import CoordinateRule, SortedChunk, in_the_middle, mixed
from strategies.rules.krum import fewest_clients, krum_scores, require_clients


def chosen_one_by_one(squared: Squares, num_malicious: int) -> ClientMask:
    """Return which n - 2f updates Krum chooses, each among those that remain, bool ``(n_clients,)``."""
    remaining = np.argsort(krum_scores(squared, num_malicious), kind="stable")
    others = squared.copy()
    np.fill_diagonal(others, np.inf)
    neighbours = np.argsort(others, axis=1)[remaining, :-1]  # nearest first
    distances = np.take_along_axis(others[remaining], neighbours, axis=1)
    while len(remaining) > 2 * num_malicious:
        count = max(1, len(remaining) - num_malicious - 2)
        index = np.argmin(distances[:, :count].sum(axis=1))
        chosen, remaining = remaining[index], np.delete(remaining, index)
        neighbours, distances = np.delete(neighbours, index, axis=0), np.delete(distances, index, axis=0)
        kept = neighbours != chosen
        neighbours = neighbours[kept].reshape(len(remaining), max(0, len(remaining) - 1))
        distances = distances[kept].reshape(neighbours.shape)
    selected = np.ones(len(squared), dtype=np.bool_)
    selected[remaining] = False
    return selected


def mean_around_median(updates: UpdateMatrix, selected: ClientMask, count: int) -> ParameterVector:
    """Return the mean of the `count` values of each column nearest to its median, float32 ``(n_params,)``.

    Of two values that lie equally far from the median on either side, the lower one is taken.
    """
    return columnwise(partial(_around_median, count=count), updates, np.flatnonzero(selected), order="F")


def _around_median(chunk: NDArray[Any], count: int) -> NDArray[np.float64]:
    chunk.sort(axis=0)
    first = _first_of_nearest(chunk, count)
    positions = np.arange(len(chunk))[:, None]
    inside = (positions >= first) & (positions < first + count)
    mean: NDArray[np.float64] = np.where(inside, chunk, 0).sum(axis=0, dtype=np.float64) / count
    return mean


def _first_of_nearest(chunk: SortedChunk, count: int) -> NDArray[np.intp]:
    """Return where the values nearest to the median begin in each column: they are neighbours in order.

    From the lowest values on, a window moves up as long as the value above it is nearer than its lowest.
    """
    median = in_the_middle(chunk)
    windows_above = len(chunk) - count
    above_is_nearer = chunk[count:] - median < median - chunk[:windows_above]
    first: NDArray[np.intp] = np.count_nonzero(above_is_nearer, axis=0)
    return first


class Bulyan(CoordinateRule):
    """The mean, in each coordinate, of the n - 4f values around the median of n - 2f updates.

    Updates that are not among those n - 2f are filtered and flagged; the others have no weights. Buffers of
    those n - 2f clients are merged in the same way, by the n - 4f values around the median.

    Parameters
    ----------
    num_malicious
        f, how many clients the defence takes for malicious; a round has at least 4f + 3 clients.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    def __init__(self, *, num_malicious: Count = 1, **flower: Unpack[StrategyArguments]) -> None:
        super().__init__(**flower)
        self.num_malicious = num_malicious
        self.required_clients = fewest_clients(4, num_malicious)

    def prepare(self, server: ServerContext) -> None:
        """Refuse a server that weighs clients, or asks too few a round; raises ConfigError."""
        require_clients(server, type(self).__name__, 4, self.num_malicious)
        super().prepare(server)

    def aggregate(self, clients: ClientUpdates) -> Aggregation:
        """Return what the two stages make of the updates."""
        selected = chosen_one_by_one(clients.squared_distances, self.num_malicious)
        count = len(selected) - 4 * self.num_malicious
        return mixed(mean_around_median(clients.updates, selected, count), left_out=~selected)

    def merge_buffers(self, values: NDArray[np.float64], aggregation: Aggregation) -> NDArray[np.float64]:
        """Return what the second stage makes of buffers."""
        return _around_median(values[~aggregation.filtered], len(values) - 4 * self.num_malicious)
