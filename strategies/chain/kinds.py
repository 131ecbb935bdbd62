"""The kinds of steps that a chain has beside a rule. Each is a strategy that works alone as well.

A step that comes before the rule changes updates (`UpdateStep`) or chooses among clients (`ChoiceStep`);
alone it is followed by the weighted mean. One that comes after it works on the model (`ModelStep`); alone it
follows the mean. Any other `RobustStrategy` is a rule: it combines what the steps before it have left.

Whatever it is, a step may remember: `finish` shows it what the round came to, and `state` and `restore` carry
its memory over a run that was killed.
"""

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.types import ModelArrays
from strategies.base import Aggregation, ClientUpdates
from strategies.chain.rows import ChainAggregation, Change, Choice, Rows
from strategies.robust_strategy import RobustStrategy


class Step(RobustStrategy):
    """What all kinds have in common: `apply`, and the weighted mean where no rule follows.

    Attributes
    ----------
    occurrence
        How many steps of this class a chain has before it: part of what its random numbers follow from.
    """

    occurrence = 0

    def apply(self, rows: Rows) -> Rows:
        """Return what the step leaves of a round's rows."""
        return rows

    def rows_after(self, count: int) -> int:
        """Return how many of `count` rows the step leaves at most."""
        return count

    def aggregate(self, clients: ClientUpdates) -> Aggregation:
        """Return the weighted mean of what the step leaves; nothing if it leaves nobody."""
        rows = self.apply(Rows.of(clients))
        return rows.mean() if rows.count else rows.dropped()

    def merge_buffers(self, values: NDArray[np.float64], aggregation: Aggregation) -> NDArray[np.float64]:
        """Return the median of rows' buffers, over the rows that are kept."""
        if isinstance(aggregation, ChainAggregation):
            return aggregation.merged(values)
        return super().merge_buffers(values, aggregation)


class UpdateStep(Step):
    """A step that changes updates: clips, groups or mixes them.

    Attributes
    ----------
    groups_clients
        Whether its rows are no longer one a client; a rule that knows clients by their ids cannot follow.
    """

    groups_clients = False

    @abstractmethod
    def change(self, clients: ClientUpdates) -> Change:
        """Say what becomes of the updates, which stay as they are: at least `required_clients`, finite."""

    def apply(self, rows: Rows) -> Rows:
        """Return the changed rows."""
        rows = rows.seen()
        return rows.changed(self.change(rows.given))


class ChoiceStep(Step):
    """A step that leaves out clients, or weighs them."""

    @abstractmethod
    def choose(self, clients: ClientUpdates) -> Choice:
        """Say how much is left of each client's weight; at least `required_clients` are given."""

    def apply(self, rows: Rows) -> Rows:
        """Return the rows that are left."""
        rows = rows.seen()
        return rows.chosen(self.choose(rows.given), self.merge_buffers)


class ModelStep(Step):
    """A step that works on the model once it has moved, as `finish` says."""

    @abstractmethod
    def finish(self, model: ModelArrays, clients: ClientUpdates, aggregation: Aggregation) -> ModelArrays:
        """Return what becomes of the model that the round has ended with; see `RobustStrategy.finish`."""
