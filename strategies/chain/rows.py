"""The updates of a round on their way through a chain, and whose they are.

A chain works on rows. At first each is a client's update; steps scale rows, leave some out, or put new ones
in their place that hold parts of several clients. What is found out about rows is said of clients:

- a client's weight is the sum over rows of the row's weight times the client's share in it;
- it is left out, or flagged, where every row that holds some of it is;
- its clip coefficient is the mean of those of its rows, by its share in each; of several steps the product;
- a row's buffers are the median of those of the clients in it.

What only scales rows or leaves some out is put off until a step has to see them: before a mean nothing is
copied.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.types import ClientMask, ClientVector, UpdateMatrix
from strategies.base import Aggregation, ClientUpdates, median_of_kept
from strategies.numerics.linear import scaled_rows, weighted_sum
from strategies.robust_strategy import RobustStrategy

Shares = NDArray[np.float64]
"""What each row is made of, float64 ``(n_rows, n_clients)``: not negative, the sum of a row is 1."""

MergeBuffers = Callable[[NDArray[np.float64], Aggregation], NDArray[np.float64]]
"""As `RobustStrategy.merge_buffers`, with rows in the place of clients."""


@dataclass(frozen=True)
class Change:
    """What a step makes of the rows that it is given.

    Parameters
    ----------
    clip_coefficients
        What each was multiplied by, in [0, 1], float64 ``(n_given,)``; None: none was clipped.
    updates
        The new rows, float32 ``(n_rows, n_params)``; None: those given, times `clip_coefficients`.
    shares
        What the new rows are made of, float64 ``(n_rows, n_given)``; None: each of the one in its place.
    flagged
        Which the step takes for malicious, bool ``(n_given,)``; None: none.
    """

    clip_coefficients: ClientVector | None = None
    updates: UpdateMatrix | None = None
    shares: Shares | None = None
    flagged: ClientMask | None = None


@dataclass(frozen=True)
class Choice:
    """How much a step leaves of the weight of each row that it is given.

    Parameters
    ----------
    factors
        What weights are multiplied by, not negative; 0: the row is left out; float64 ``(n_given,)``.
    flagged
        Which the step takes for malicious, bool ``(n_given,)``.
    """

    factors: ClientVector
    flagged: ClientMask

    @classmethod
    def of(cls, keep: ClientMask) -> "Choice":
        """Leave out, and flag, what is not in `keep`."""
        return cls(keep.astype(np.float64), ~keep)


@dataclass(frozen=True)
class Judged:
    """Rows as a rule, or a step that chose among them, was given them.

    Parameters
    ----------
    shares
        What they are made of.
    aggregation
        What it made of them.
    merge
        How it merges their buffers.
    """

    shares: Shares
    aggregation: Aggregation
    merge: MergeBuffers


@dataclass(frozen=True)
class ChainAggregation(Aggregation):
    """What a chain made of a round.

    Parameters
    ----------
    judged
        Who has the say on buffers: the rule, without one the step that chose last.
    """

    judged: Judged

    def merged(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a buffer of the global model, ``(n_values,)``, from ``(n_clients, n_values)``.

        A row's is the median over the clients that it holds: their mean one of them could put anywhere.
        """
        of_rows = np.stack([np.median(values[share > 0], axis=0) for share in self.judged.shares])
        return self.judged.merge(of_rows, self.judged.aggregation)


@dataclass(frozen=True)
class Rows:
    """Rows between two steps of a chain.

    Parameters
    ----------
    given
        The rows, but for what was put off.
    shares
        What they are made of.
    weights
        Of each row, sum 1; 0: it is left out.
    coefficients
        What each is still to be multiplied by.
    clip_coefficients, filtered, flagged
        Of each client of the round, by the steps so far.
    judged
        By the step that chose last; None: none has.
    """

    given: ClientUpdates
    shares: Shares
    weights: ClientVector
    coefficients: ClientVector
    clip_coefficients: ClientVector
    filtered: ClientMask
    flagged: ClientMask
    judged: Judged | None = None

    @classmethod
    def of(cls, clients: ClientUpdates) -> "Rows":
        """Begin with one row a client."""
        count = len(clients.weights)
        ones, nobody = np.ones(count), np.zeros(count, dtype=np.bool_)
        return cls(clients, np.eye(count), clients.weights, ones, ones, nobody, nobody)

    @property
    def count(self) -> int:
        """How many rows are not left out."""
        return int(np.count_nonzero(self.weights))

    def seen(self) -> "Rows":
        """Do what was put off: the rows in `given` are all, and all as they are to be."""
        kept = np.flatnonzero(self.weights)
        if (self.coefficients[kept] != 1).any():
            scaled = scaled_rows(self.coefficients[kept], self.given.updates, kept)
            given = _some_of(self.given, kept, self.weights, scaled)
        elif len(kept) < len(self.weights):
            given = _known_of(
                self.given, kept, _some_of(self.given, kept, self.weights, self.given.updates[kept])
            )
        elif self.weights is not self.given.weights:
            given = _known_of(self.given, kept, replace(self.given, weights=self.weights))
        else:
            return self
        shares, ones = self.shares[kept], np.ones(len(kept))
        return replace(self, given=given, shares=shares, weights=given.weights, coefficients=ones)

    def changed(self, change: Change) -> "Rows":
        """Return the rows after a step that was given these, `seen` before."""
        given, shares = self.given, self.shares
        coefficients = np.ones(len(self.weights))
        clipped = coefficients if change.clip_coefficients is None else change.clip_coefficients
        if change.updates is None:
            coefficients = clipped
        elif change.shares is None:
            given = replace(given, updates=change.updates)
        else:
            given = _regrouped(given, change.updates, change.shares)
            shares = change.shares @ shares
            coefficients = np.ones(len(shares))
        return replace(
            self,
            given=given,
            shares=shares,
            weights=given.weights,
            coefficients=coefficients,
            clip_coefficients=self.clip_coefficients * self._mean_of_clients(clipped),
            flagged=self.flagged if change.flagged is None else self.flagged | self._all_of(change.flagged),
        )

    def chosen(self, choice: Choice, merge: MergeBuffers) -> "Rows":
        """Return the rows that a step has left, which was given these, `seen` before."""
        weights = self.weights * choice.factors
        total = weights.sum()
        if total > 0:
            weights /= total
        filtered = weights == 0
        chosen = Aggregation(
            update=np.zeros(0, dtype=np.float32),  # of parameters, which have no say on buffers
            weights=weights,
            clip_coefficients=np.ones_like(weights),
            filtered=filtered,
            flagged=choice.flagged,
        )
        return replace(
            self,
            weights=weights,
            filtered=self.filtered | self._all_of(filtered),
            flagged=self.flagged | self._all_of(choice.flagged),
            judged=Judged(self.shares, chosen, merge),
        )

    def mean(self) -> ChainAggregation:
        """End in the weighted mean; without a step that chose, buffers are merged by their median."""
        nothing = np.zeros_like(self.weights)
        mean = Aggregation(
            update=weighted_sum(self.weights * self.coefficients, self.given.updates),
            weights=self.weights,
            clip_coefficients=np.ones_like(nothing),
            filtered=nothing > 0,
            flagged=nothing > 0,
        )
        return self._ended(mean, self.judged or Judged(self.shares, mean, median_of_kept))

    def combined(self, rule: RobustStrategy) -> ChainAggregation:
        """End in what a rule makes of the rows."""
        rows = self.seen()
        found = rule.aggregate(rows.given)
        return rows._ended(found, Judged(rows.shares, found, rule.merge_buffers))

    def dropped(self) -> Aggregation:
        """End in nothing: everybody is left out, the model is kept, flags stay."""
        return Aggregation(
            update=np.zeros(self.given.updates.shape[1], dtype=np.float32),
            weights=np.zeros_like(self.clip_coefficients),
            clip_coefficients=self.clip_coefficients,
            filtered=np.ones_like(self.filtered),
            flagged=self.flagged,
        )

    def _ended(self, found: Aggregation, judged: Judged) -> ChainAggregation:
        """Say of clients what was found out about rows."""
        unknown = np.isnan(found.weights)
        weights = np.where(unknown, 0, found.weights) @ self.shares
        weights[(self.shares[unknown] > 0).any(axis=0)] = np.nan
        return ChainAggregation(
            update=found.update,
            weights=weights,
            clip_coefficients=self.clip_coefficients * self._mean_of_clients(found.clip_coefficients),
            filtered=self.filtered | self._all_of(found.filtered),
            flagged=self.flagged | self._all_of(found.flagged),
            judged=judged,
        )

    def _mean_of_clients(self, values: ClientVector) -> ClientVector:
        """Return each client's mean over rows by its share in them; 1 where it has none."""
        totals = self.shares.sum(axis=0)
        means = np.divide(values @ self.shares, totals, out=np.ones_like(totals), where=totals > 0)
        largest: ClientVector = np.minimum(means, max(values.max(initial=1), 1))  # but for rounding they are
        return largest

    def _all_of(self, mask: ClientMask) -> ClientMask:
        """Return the clients whose rows, of which each must have one, are all in `mask`."""
        holds = self.shares > 0
        return np.asarray(holds.any(axis=0) & ~holds[~mask].any(axis=0))


def _some_of(
    given: ClientUpdates, kept: NDArray[np.intp], weights: ClientVector, updates: UpdateMatrix
) -> ClientUpdates:
    """Return the rows that are kept, whose updates have become `updates`."""
    return replace(
        given,
        updates=updates,
        num_steps=given.num_steps[kept],
        num_examples=given.num_examples[kept],
        weights=weights[kept],
        client_ids=given.client_ids[kept],
        buffers=[given.buffers[row] for row in kept] if given.buffers else (),
    )


def _known_of(given: ClientUpdates, kept: NDArray[np.intp], chosen: ClientUpdates) -> ClientUpdates:
    """Return `chosen`, rows of `given`, with the norms and distances that were worked out before."""
    known = vars(given)
    if "norms" in known:
        vars(chosen)["norms"] = given.norms[kept]
    if "squared_distances" in known:
        vars(chosen)["squared_distances"] = given.squared_distances[np.ix_(kept, kept)]
    return chosen


def _regrouped(given: ClientUpdates, updates: UpdateMatrix, shares: Shares) -> ClientUpdates:
    """Return new rows; steps, examples and weights are means by share."""
    weights = shares @ given.weights
    is_square = len(shares) == len(given.client_ids)
    return replace(
        given,
        updates=updates,
        num_steps=shares @ given.num_steps,
        num_examples=shares @ given.num_examples,
        weights=weights / weights.sum(),
        client_ids=given.client_ids if is_square else np.arange(len(shares)),
        buffers=(),
    )
