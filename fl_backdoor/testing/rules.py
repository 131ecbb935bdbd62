"""What every rule must satisfy, on updates that are worked out beforehand."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.layout import Layout, TensorSpec
from fl_backdoor.core.types import ClientMask, ParameterVector, UpdateMatrix
from fl_backdoor.testing.rounding import assert_among, last_digits
from strategies.base import Aggregation, ClientUpdates, ServerContext
from strategies.numerics import threads
from strategies.numerics.columns import CHUNK_COLUMNS
from strategies.robust_strategy import RobustStrategy

NUM_CLIENTS, NUM_PARAMS = 9, 12

UNBOUNDED = 1e30
"""A bound that nothing is clipped to."""

SCALES = (1e-3, 1.0, 1e3)
HUGE = (1e6, 1e25)


def spread_out(scale: float = 1.0) -> UpdateMatrix:
    """Return updates without anything in common, float32 ``(9, 12)``."""
    rows = np.random.default_rng(1).standard_normal((NUM_CLIENTS, NUM_PARAMS))
    return (scale * rows).astype(np.float32)


def nearly_equal(scale: float = 1.0) -> UpdateMatrix:
    """Return updates that differ in their fifth digit."""
    base = np.random.default_rng(2).standard_normal(NUM_PARAMS)
    return (scale * (base + 1e-4 * spread_out())).astype(np.float32)


def with_huge_row(factor: float) -> UpdateMatrix:
    """Return nearly equal updates, that of client 4 `factor` times as long."""
    rows = nearly_equal()
    rows[4] *= np.float32(factor)
    return rows


def simplex() -> UpdateMatrix:
    """Return updates of one length and one distance from each other, but for float32's rounding."""
    rotation = np.linalg.qr(np.random.default_rng(3).standard_normal((NUM_PARAMS, NUM_PARAMS)))[0]
    return rotation[:NUM_CLIENTS].astype(np.float32)


UPDATES: dict[str, UpdateMatrix] = {
    "spread out": spread_out(),
    **{f"nearly equal at {scale:g}": nearly_equal(scale) for scale in SCALES},
    **{f"a row {factor:g} times as long": with_huge_row(factor) for factor in HUGE},
    "all equal": np.repeat(spread_out()[:1], NUM_CLIENTS, axis=0),
    "all zero": np.zeros((NUM_CLIENTS, NUM_PARAMS), dtype=np.float32),
    "simplex": simplex(),
    "two camps": np.where(np.arange(NUM_CLIENTS)[:, None] < 4, spread_out()[0], spread_out()[1]),
    "the largest numbers": np.sign(spread_out()) * np.float32(2e30),
}
"""By name, float32 ``(9, 12)``."""

WITHOUT_TIES = tuple(UPDATES)[:6]
"""Those in which no two clients are the same to a rule."""


def server_of(num_clients: int, num_params: int = NUM_PARAMS) -> ServerContext:
    """Return a server whose clients all take part in each round and have 100 samples each."""
    return ServerContext(
        one_tensor(num_params),
        num_rounds=20,
        seed=7,
        partition_sizes=(100,) * num_clients,
        participants_per_round=num_clients,
    )


def clients_of(
    updates: UpdateMatrix, num_steps: NDArray[np.float64] | None = None, server_round: int = 1
) -> ClientUpdates:
    """Return what a rule is given of a round: rate 1, by default one step, equal weights, ids from 0."""
    ones = np.ones(len(updates))
    model = np.random.default_rng(6).standard_normal(updates.shape[1:]).astype(np.float32)
    return ClientUpdates(
        server_round=server_round,
        updates=updates,
        num_steps=ones if num_steps is None else num_steps,
        num_examples=100 * ones,
        learning_rate=1.0,
        weights=ones / len(updates),
        client_ids=np.arange(len(updates)),
        model=[model],
    )


def one_tensor(num_params: int) -> Layout:
    """Return the layout of a model that is one tensor, ``weight``."""
    return Layout((TensorSpec("weight", (num_params,), "float32", True),))


@dataclass(frozen=True)
class RuleContract:
    """A rule, and what is known of it; each method checks one property and raises AssertionError.

    Parameters
    ----------
    build
        Makes the rule anew; is given the length that gradients are to be clipped to, if the rule has bounds.
        A rule that judges gradients is told ``learning_rate=1``, one that tries models out a ``workbench``.
    fewest
        Fewest clients it is defined for.
    selects
        How many of nine clients it always selects; None: that depends on their updates.
    has_weights
        Whether its result is a weighted mean of the updates.
    ignores_huge
        Whether one huge update leaves no trace in the result.
    spares_all
        Whether everybody is kept where nobody stands out, as long as they are not all the same.
    order_on
        Updates, by their names in `UPDATES`, whose clients the rule can tell apart: their order must not
        matter.
    own_length
        Whether it gives updates a length of its own: coefficients may be above 1, and clients that are equal
        need not move the model by what they sent.
    may_keep_model
        Whether everybody may be left out.
    judges_models
        Whether it judges what updates make of the model: another unit of updates is another model.
    layout
        Of the model, by its number of parameters, all in float32.
    """

    build: Callable[[float], RobustStrategy]
    fewest: int = 1
    selects: int | None = None
    has_weights: bool = True
    ignores_huge: bool = False
    spares_all: bool = True
    order_on: tuple[str, ...] = WITHOUT_TIES
    own_length: bool = False
    may_keep_model: bool = False
    judges_models: bool = False
    layout: Callable[[int], Layout] = one_tensor

    def check(self) -> None:
        """Check everything that holds for such a rule."""
        for updates in UPDATES.values():
            for length in (1.0, UNBOUNDED):
                self.check_ranges(updates, length)
            if self.has_weights:
                self.check_weighted_sum(updates)
        for name in self.order_on:
            self.check_order(UPDATES[name])
        for factor in () if self.judges_models else (2.0**-10, 2.0**10):
            self.check_scaling(factor)
        if not self.own_length:
            for scale in SCALES:
                self.check_among(nearly_equal(scale))
            self.check_equal_clients()
        if self.spares_all:
            self.check_simplex()
        self.check_threads()
        self.check_going_on()
        if self.fewest == 1 and not self.own_length:
            self.check_one_client()
        elif self.fewest > 1:
            self.check_too_few()
        if self.ignores_huge:
            for factor in HUGE:
                self.check_huge(factor)

    def prepared(
        self, length: float = UNBOUNDED, num_clients: int = NUM_CLIENTS, num_params: int = NUM_PARAMS
    ) -> RobustStrategy:
        """Return the rule on a server with so many clients, and a model of so many parameters."""
        rule = self.build(length)
        server = server_of(num_clients, num_params)
        rule.prepare(replace(server, layout=self.layout(num_params), workbench=rule.workbench))
        return rule

    def clients(
        self, updates: UpdateMatrix, num_steps: NDArray[np.float64] | None = None, server_round: int = 1
    ) -> ClientUpdates:
        """Return what it is given of a round, see `clients_of`; the model is in the layout's tensors."""
        clients = clients_of(updates, num_steps, server_round)
        vector = one_tensor(updates.shape[1]).vector(clients.model)
        return replace(clients, model=[part for _, part in self.layout(len(vector)).parts(vector)])

    def check_ranges(self, updates: UpdateMatrix, length: float) -> None:
        """See that all of the result has its shape and type, is finite and in range; updates stay."""
        before = updates.copy()
        clients = self.clients(updates, np.arange(1.0, len(updates) + 1))
        result = self.prepared(length).aggregate(clients)
        np.testing.assert_array_equal(updates, before)
        _assert_is(result.update, np.float32, updates.shape[1:])
        assert np.isfinite(result.update).all()
        for scores in (
            clients.norms,
            clients.gradient_norms,
            clients.mean_distances,
            result.clip_coefficients,
        ):
            _assert_is(scores, np.float64, updates.shape[:1])
            assert np.isfinite(scores).all()
        _assert_is(result.weights, np.float64, updates.shape[:1])
        for mask in (result.filtered, result.flagged):
            _assert_is(mask, np.bool_, updates.shape[:1])
        assert (result.clip_coefficients > 0).all()
        assert self.own_length or (result.clip_coefficients <= 1).all()
        if not self.has_weights:
            if self.spares_all:
                self._assert_left_out(result.filtered)
            np.testing.assert_array_equal(result.flagged, result.filtered)
            np.testing.assert_array_equal(result.weights, np.where(result.filtered, 0, np.nan))
            return
        assert (result.weights >= 0).all()
        kept = self.may_keep_model and bool(result.filtered.all())
        assert abs(math.fsum(result.weights) - (0 if kept else 1)) <= 1e-14
        np.testing.assert_array_equal(result.weights == 0, result.filtered)

    def check_weighted_sum(self, updates: UpdateMatrix) -> None:
        """See that the model moves by the weighted sum of the clipped updates."""
        result = self.prepared(1.0).aggregate(self.clients(updates))
        factors = result.weights * result.clip_coefficients
        columns = updates.astype(np.float64).T
        expected = [math.fsum(f * u for f, u in zip(factors, column, strict=True)) for column in columns]
        # What each summand contributes at most; Flower's own rules sum in float32.
        tolerance = max(last_digits(factors[:, None] * updates), 1e-300)
        np.testing.assert_allclose(result.update, expected, rtol=3e-7, atol=tolerance)

    def check_order(self, updates: UpdateMatrix, seed: int = 0) -> None:
        """See that the order of clients does not matter."""
        order = np.random.default_rng(seed).permutation(len(updates))
        # A rule of its own for each: it may remember who sent what.
        result, other = (
            self.prepared(1.0).aggregate(self.clients(rows)) for rows in (updates, updates[order])
        )
        used = updates[:4] if self.ignores_huge else updates
        np.testing.assert_allclose(other.update, result.update, rtol=1e-6, atol=last_digits(used))
        np.testing.assert_allclose(other.weights, result.weights[order], rtol=1e-13)
        np.testing.assert_allclose(other.clip_coefficients, result.clip_coefficients[order], rtol=1e-13)
        np.testing.assert_array_equal(other.filtered, result.filtered[order])
        np.testing.assert_array_equal(other.flagged, result.flagged[order])

    def check_scaling(self, factor: float) -> None:
        """See that updates and bounds of another unit give a movement of that unit.

        `factor` is a power of two, which changes no digit: the results are the same bit for bit.
        """
        result = self.prepared(1.0).aggregate(self.clients(spread_out()))
        scaled = self.prepared(factor).aggregate(self.clients(spread_out() * np.float32(factor)))
        np.testing.assert_array_equal(scaled.update, result.update * np.float32(factor))
        np.testing.assert_array_equal(scaled.weights, result.weights)
        np.testing.assert_array_equal(scaled.flagged, result.flagged)

    def check_one_client(self) -> None:
        """See that one client moves the model alone."""
        rows = spread_out()[:1]
        result = self.prepared(num_clients=1).aggregate(self.clients(rows))
        np.testing.assert_array_equal(result.update, rows[0])
        assert not (result.filtered | result.flagged).any()

    def check_equal_clients(self) -> None:
        """See that equal clients move the model as each of them would."""
        result = self.prepared().aggregate(self.clients(UPDATES["all equal"]))
        np.testing.assert_allclose(result.update, UPDATES["all equal"][0], rtol=3e-7)
        self._assert_nobody_stands_out(result)

    def check_simplex(self) -> None:
        """See that nobody is an outlier among clients that differ by rounding alone, see `exceeds`."""
        self._assert_nobody_stands_out(self.prepared().aggregate(self.clients(simplex())))

    def check_among(self, updates: UpdateMatrix) -> None:
        """See that the movement lies among nearly equal updates."""
        assert_among(self.prepared().aggregate(self.clients(updates)).update, updates)

    def check_huge(self, factor: float) -> None:
        """See that a huge update leaves no trace, and is flagged where the rule judges clients."""
        rows = with_huge_row(factor)
        result = self.prepared().aggregate(self.clients(rows))
        assert_among(result.update, np.delete(rows, 4, axis=0))
        assert result.flagged[4] == (self.has_weights or self.selects is not None)
        if self.selects is None and self.spares_all:
            assert not np.delete(result.flagged, 4).any()

    def check_threads(self) -> None:
        """See that results do not depend on the number of threads."""
        size = (NUM_CLIENTS, 3 * CHUNK_COLUMNS + 5)
        rows = np.random.default_rng(4).standard_normal(size).astype(np.float32)
        rows.flags.writeable = False
        rule, found = self.prepared(100.0, num_params=size[1]), []
        for num_threads in (1, 2, 5):
            with mock.patch.object(threads, "usable_cores", lambda count=num_threads: count):
                clients = self.clients(rows)
                result = rule.aggregate(clients)
                found.append(
                    (result.update, result.weights, result.flagged, clients.norms, clients.mean_distances)
                )
        for other in found[1:]:
            for mine, theirs in zip(found[0], other, strict=True):
                np.testing.assert_array_equal(mine, theirs)

    def check_too_few(self) -> None:
        """See that too few clients a round are refused before the first one."""
        self.prepared(1.0, self.fewest)
        try:
            self.prepared(1.0, self.fewest - 1)
        except ConfigError:
            return
        raise AssertionError(f"{self.fewest - 1} clients a round are not refused")

    def check_going_on(self) -> None:
        """See that a run that was cut off goes on as if nothing had happened: `state` and `restore`."""
        whole = self.prepared(1.0)
        rounds = [self.clients(spread_out(scale), server_round=at) for at, scale in enumerate((1, 2, 3), 1)]
        for clients in rounds[:2]:
            whole.aggregate(clients)
        resumed = self.prepared(1.0)
        resumed.restore(2, whole.state())
        mine, theirs = (rule.aggregate(rounds[2]) for rule in (whole, resumed))
        np.testing.assert_array_equal(mine.update, theirs.update)
        np.testing.assert_array_equal(mine.flagged, theirs.flagged)

    def _assert_nobody_stands_out(self, result: Aggregation) -> None:
        self._assert_left_out(result.filtered)
        self._assert_left_out(result.flagged)

    def _assert_left_out(self, mask: ClientMask) -> None:
        assert mask.sum() == (0 if self.selects is None else len(mask) - self.selects)


def _assert_is(found: NDArray[np.generic] | ParameterVector, dtype: type, shape: tuple[int, ...]) -> None:
    assert found.dtype == dtype and found.shape == shape, f"{found.dtype} {found.shape}, not {dtype} {shape}"
