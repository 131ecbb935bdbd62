"""What every defence must satisfy. A new defence joins with one row in `DEFENCES`."""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import conf
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.types import ClientMask
from fl_backdoor.runner.composition import composed
from strategies.base import Aggregation
from strategies.chain.chain import Chain
from strategies.numerics import threads
from strategies.numerics.columns import CHUNK_COLUMNS
from strategies.persistent_direction.rule import PersistentDirection
from strategies.robust_strategy import RobustStrategy
from strategies.rules.bulyan import Bulyan
from strategies.rules.clip_avg import ClipAvg
from strategies.rules.fedavg import FedAvg
from strategies.rules.flame import Flame
from strategies.rules.flower import FlowerStrategy
from strategies.rules.hybrid import Hybrid
from strategies.rules.iqr_filter import IQRFilter
from strategies.rules.krum import Krum
from strategies.rules.median import Median
from strategies.rules.multi_krum import MultiKrum
from strategies.rules.oracle_filter import OracleFilter
from strategies.rules.trimmed_mean import TrimmedMean
from strategies.steps.nnm import NNM
from strategies.steps.norm_clipping import NormClipping
from strategies.steps.weak_noise import WeakNoise
from tests.strategies.conftest import Federation


@dataclass(frozen=True)
class Defence:
    """One row.

    Parameters
    ----------
    build
        Makes the strategy from a federation and a length: bounds on gradients are that long.
    fewest
        Fewest clients it is defined for.
    selects
        How many clients it always selects; None if that depends on their updates.
    has_weights
        Whether its result is a weighted mean of the updates.
    ignores_huge
        Whether one huge update leaves no trace in the result.
    """

    build: Callable[[Federation, float], RobustStrategy]
    fewest: int = 1
    selects: int | None = None
    has_weights: bool = True
    ignores_huge: bool = False


def flower(rule: str, **settings: float) -> Callable[[Federation, float], RobustStrategy]:
    return lambda federation, length: federation.build(FlowerStrategy, rule=rule, **settings)


def chain(steps: Callable[[float], list[RobustStrategy]]) -> Callable[[Federation, float], RobustStrategy]:
    return lambda federation, length: federation.build(partial(Chain, steps(length)))


DEFENCES = {
    "fedavg": Defence(lambda federation, length: federation.build(FedAvg)),
    "iqr_filter": Defence(lambda federation, length: federation.build(IQRFilter), ignores_huge=True),
    "clip_avg": Defence(lambda federation, length: federation.build(ClipAvg, clip_gamma=length)),
    "hybrid": Defence(lambda federation, length: federation.build(Hybrid, clip_gamma=length)),
    "hybrid_prose": Defence(
        lambda federation, length: federation.build(
            Hybrid, clip_gamma=length, clip_unsuspicious=True, suspect_ratio=0.5
        )
    ),
    "flame": Defence(lambda federation, length: federation.build(Flame, noise_factor=0)),
    "leave_out": Defence(lambda federation, length: federation.build(OracleFilter, client_ids=[])),
    "krum": Defence(
        lambda federation, length: federation.build(Krum, num_malicious=1),
        fewest=5,
        selects=1,
        ignores_huge=True,
    ),
    "multi_krum": Defence(
        lambda federation, length: federation.build(MultiKrum, num_malicious=1, num_to_select=4),
        fewest=5,
        selects=4,
        ignores_huge=True,
    ),
    "bulyan": Defence(
        lambda federation, length: federation.build(Bulyan, num_malicious=1),
        fewest=7,
        selects=7,
        has_weights=False,
        ignores_huge=True,
    ),
    "median": Defence(
        lambda federation, length: federation.build(Median), has_weights=False, ignores_huge=True
    ),
    "trimmed_mean": Defence(
        lambda federation, length: federation.build(TrimmedMean, beta=0.2),
        has_weights=False,
        ignores_huge=True,
    ),
    "persistent_direction": Defence(
        lambda federation, length: federation.build(PersistentDirection), fewest=6
    ),
    "persistent_direction_median": Defence(
        lambda federation, length: federation.build(PersistentDirection, response="median"),
        fewest=6,
        has_weights=False,
        ignores_huge=True,
    ),
    "norm_clipping": Defence(lambda federation, length: federation.build(NormClipping, bound=length)),
    "norm_clipping_median": Defence(lambda federation, length: federation.build(NormClipping)),
    "nnm": Defence(lambda federation, length: federation.build(NNM, num_malicious=1), fewest=3),
    "weak_noise": Defence(lambda federation, length: federation.build(WeakNoise)),
    "iqr_filter_norm_clipping": Defence(
        chain(lambda length: [IQRFilter(), NormClipping(bound=length)]), ignores_huge=True
    ),
    "norm_clipping_nnm_median": Defence(
        chain(lambda length: [NormClipping(bound=length), NNM(num_malicious=1), Median(), WeakNoise()]),
        fewest=3,
        has_weights=False,
        ignores_huge=True,
    ),
    "multi_krum_trimmed_mean": Defence(
        chain(lambda length: [MultiKrum(num_malicious=1, num_to_select=4), TrimmedMean()]),
        fewest=5,
        selects=4,
        has_weights=False,
        ignores_huge=True,
    ),
    "flower_krum": Defence(flower("Krum", num_malicious=1), fewest=5, selects=1, ignores_huge=True),
    "flower_multi_krum": Defence(
        flower("MultiKrum", num_malicious=1, num_to_select=4), fewest=5, selects=4, ignores_huge=True
    ),
    "flower_bulyan": Defence(
        flower("Bulyan", num_malicious=1), fewest=7, has_weights=False, ignores_huge=True
    ),
    "flower_median": Defence(flower("FedMedian"), has_weights=False, ignores_huge=True),
    "flower_trimmed_mean": Defence(flower("FedTrimmedAvg", beta=0.2), has_weights=False, ignores_huge=True),
}

NUM_CLIENTS, NUM_PARAMS = 9, 12
UNBOUNDED = 1e30
SCALES = [1e-3, 1.0, 1e3]
HUGE = [1e6, 1e25]


def spread_out(scale=1.0):
    rows = np.random.default_rng(1).standard_normal((NUM_CLIENTS, NUM_PARAMS))
    return (scale * rows).astype(np.float32)


def nearly_equal(scale=1.0):
    base = np.random.default_rng(2).standard_normal(NUM_PARAMS)
    return (scale * (base + 1e-4 * spread_out())).astype(np.float32)


def with_huge_row(factor):
    rows = nearly_equal()
    rows[4] *= np.float32(factor)
    return rows


def simplex():
    rotation = np.linalg.qr(np.random.default_rng(3).standard_normal((NUM_PARAMS, NUM_PARAMS)))[0]
    return rotation[:NUM_CLIENTS].astype(np.float32)


INPUTS = {
    "spread out": spread_out(),
    **{f"nearly equal at {scale:g}": nearly_equal(scale) for scale in SCALES},
    **{f"a row {factor:g} times as long": with_huge_row(factor) for factor in HUGE},
    "all equal": np.repeat(spread_out()[:1], NUM_CLIENTS, axis=0),
    "all zero": np.zeros((NUM_CLIENTS, NUM_PARAMS), dtype=np.float32),
    "simplex": simplex(),
    "two camps": np.where(np.arange(NUM_CLIENTS)[:, None] < 4, spread_out()[0], spread_out()[1]),
    "the largest numbers": np.sign(spread_out()) * np.float32(2e30),
}
INPUTS_WITHOUT_TIES = {name: INPUTS[name] for name in list(INPUTS)[:6]}


def each(belongs: Callable[[Defence], bool] = lambda row: True) -> pytest.MarkDecorator:
    """Run a test for each row that `belongs`."""
    rows = {name: row for name, row in DEFENCES.items() if belongs(row)}
    return pytest.mark.parametrize("defence", rows.values(), ids=rows.keys())


@pytest.fixture(params=INPUTS.values(), ids=INPUTS.keys())
def updates(request):
    return request.param


@each()
@pytest.mark.parametrize("length", [1.0, UNBOUNDED])
def test_shapes_ranges_and_finite_scores(defence, updates, length, make_federation, make_clients):
    before = updates.copy()
    clients = make_clients(updates, np.arange(1, NUM_CLIENTS + 1))
    result = defence.build(make_federation(NUM_CLIENTS), length).aggregate(clients)
    np.testing.assert_array_equal(updates, before)
    assert (result.update.dtype, result.update.shape) == (np.float32, (NUM_PARAMS,))
    assert np.isfinite(result.update).all()
    for scores in (clients.norms, clients.gradient_norms, clients.mean_distances, result.clip_coefficients):
        assert (scores.dtype, scores.shape) == (np.float64, (NUM_CLIENTS,))
        assert np.isfinite(scores).all()
    for mask in (result.filtered, result.flagged):
        assert (mask.dtype, mask.shape) == (np.bool_, (NUM_CLIENTS,))
    assert ((result.clip_coefficients > 0) & (result.clip_coefficients <= 1)).all()
    assert (result.weights.dtype, result.weights.shape) == (np.float64, (NUM_CLIENTS,))
    if not defence.has_weights:
        _assert_left_out(defence, result.filtered)
        np.testing.assert_array_equal(result.flagged, result.filtered)
        np.testing.assert_array_equal(result.weights, np.where(result.filtered, 0, np.nan))
        return
    assert (result.weights >= 0).all()
    assert math.fsum(result.weights) == pytest.approx(1, abs=1e-14)
    np.testing.assert_array_equal(result.weights == 0, result.filtered)


@each(lambda row: row.has_weights)
def test_the_movement_is_the_weighted_sum_of_the_clipped_updates(
    defence, updates, make_federation, make_clients
):
    result = defence.build(make_federation(NUM_CLIENTS), 1.0).aggregate(make_clients(updates))
    factors = result.weights * result.clip_coefficients
    columns = updates.astype(np.float64).T
    expected = [math.fsum(f * u for f, u in zip(factors, column, strict=True)) for column in columns]
    # One rounding of what each summand contributes at most; Flower sums in float32, hence a few.
    tolerance = 4 * np.finfo(np.float32).eps * max(float(np.abs(factors[:, None] * updates).max()), 1e-300)
    np.testing.assert_allclose(result.update, expected, rtol=3e-7, atol=tolerance)


@each()
@pytest.mark.parametrize("name", INPUTS_WITHOUT_TIES)
@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_clients_does_not_matter(defence, name, seed, make_federation, make_clients):
    rows = INPUTS_WITHOUT_TIES[name]
    order = np.random.default_rng(seed).permutation(NUM_CLIENTS)
    strategy = defence.build(make_federation(NUM_CLIENTS), 1.0)
    result = strategy.aggregate(make_clients(rows))
    other = strategy.aggregate(make_clients(rows[order]))
    used = rows[:4] if defence.ignores_huge else rows
    tolerance = 4 * np.finfo(np.float32).eps * float(np.abs(used).max())
    np.testing.assert_allclose(other.update, result.update, rtol=1e-6, atol=tolerance)
    np.testing.assert_allclose(other.weights, result.weights[order], rtol=1e-13)
    np.testing.assert_allclose(other.clip_coefficients, result.clip_coefficients[order], rtol=1e-13)
    np.testing.assert_array_equal(other.filtered, result.filtered[order])
    np.testing.assert_array_equal(other.flagged, result.flagged[order])


@each()
@pytest.mark.parametrize("factor", [2.0**-10, 2.0**10])
def test_scaling_updates_and_bounds_scales_the_movement(defence, factor, make_federation, make_clients):
    # Powers of two change no digit, so the results are the same bit for bit.
    federation = make_federation(NUM_CLIENTS)
    rows = spread_out()
    result = defence.build(federation, 1.0).aggregate(make_clients(rows))
    scaled = defence.build(federation, factor).aggregate(make_clients(rows * np.float32(factor)))
    np.testing.assert_array_equal(scaled.update, result.update * np.float32(factor))
    np.testing.assert_array_equal(scaled.weights, result.weights)
    np.testing.assert_array_equal(scaled.flagged, result.flagged)


@each(lambda row: row.fewest == 1)
def test_one_client_moves_the_model_alone(defence, make_federation, make_clients):
    rows = spread_out()[:1]
    result = defence.build(make_federation(1), UNBOUNDED).aggregate(make_clients(rows))
    np.testing.assert_array_equal(result.update, rows[0])
    assert not (result.filtered | result.flagged).any()


@each()
def test_equal_clients_move_the_model_as_each_would(defence, make_federation, make_clients):
    rows = INPUTS["all equal"]
    result = defence.build(make_federation(NUM_CLIENTS), UNBOUNDED).aggregate(make_clients(rows))
    np.testing.assert_allclose(result.update, rows[0], rtol=3e-7)
    _assert_left_out(defence, result.filtered)
    _assert_left_out(defence, result.flagged)


@each()
def test_nobody_is_an_outlier_of_a_regular_simplex(defence, make_federation, make_clients):
    clients = make_clients(simplex())
    assert np.ptp(clients.mean_distances) > 0  # equal but for float32's rounding
    result = defence.build(make_federation(NUM_CLIENTS), UNBOUNDED).aggregate(clients)
    _assert_left_out(defence, result.filtered)
    _assert_left_out(defence, result.flagged)


@each()
@pytest.mark.parametrize("scale", SCALES)
def test_the_movement_lies_among_nearly_equal_updates(defence, scale, make_federation, make_clients):
    rows = nearly_equal(scale)
    result = defence.build(make_federation(NUM_CLIENTS), UNBOUNDED).aggregate(make_clients(rows))
    _assert_among(result.update, rows)


@each(lambda row: row.ignores_huge)
@pytest.mark.parametrize("factor", HUGE)
def test_a_huge_update_leaves_no_trace(defence, factor, make_federation, make_clients):
    rows = with_huge_row(factor)
    result = defence.build(make_federation(NUM_CLIENTS), UNBOUNDED).aggregate(make_clients(rows))
    _assert_among(result.update, np.delete(rows, 4, axis=0))
    assert result.flagged[4] == (defence.has_weights or defence.selects is not None)
    if defence.selects is None:
        assert not np.delete(result.flagged, 4).any()


@each()
def test_results_do_not_depend_on_the_number_of_threads(defence, monkeypatch, make_federation, make_clients):
    rows = np.random.default_rng(4).standard_normal((NUM_CLIENTS, 3 * CHUNK_COLUMNS + 5)).astype(np.float32)
    rows.flags.writeable = False
    strategy = defence.build(make_federation(NUM_CLIENTS), 100.0)
    results = []
    for num_threads in (1, 2, 5):
        monkeypatch.setattr(threads, "usable_cores", lambda count=num_threads: count)
        clients = make_clients(rows)
        result = strategy.aggregate(clients)
        results.append((result.update, result.weights, result.flagged, clients.norms, clients.mean_distances))
    for other in results[1:]:
        for mine, theirs in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(mine, theirs)


@each()
def test_a_chain_of_one_step_is_that_step(defence, make_federation, make_clients):
    federation = make_federation(NUM_CLIENTS)
    clients = make_clients(with_huge_row(100), np.arange(1, NUM_CLIENTS + 1))
    values = np.random.default_rng(5).standard_normal((NUM_CLIENTS, 3))
    alone = defence.build(federation, 1.0)
    inside = federation.build(partial(Chain, [defence.build(federation, 1.0)]))
    results = [strategy.aggregate(clients) for strategy in (alone, inside)]
    for one, other in zip(*map(_fields, results), strict=True):
        np.testing.assert_array_equal(one, other)
    buffers = [
        strategy.merge_buffers(values, result)
        for strategy, result in zip((alone, inside), results, strict=True)
    ]
    np.testing.assert_array_equal(*buffers)
    assert inside.required_clients == alone.required_clients


@each(lambda row: row.fewest > 1)
def test_too_few_clients_are_refused(defence, make_federation):
    defence.build(make_federation(defence.fewest), 1.0)
    with pytest.raises(ConfigError):
        defence.build(make_federation(defence.fewest - 1), 1.0)


CONFIGS = sorted(Path(conf.__file__).parent.joinpath("strategy").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=[path.stem for path in CONFIGS])
def test_each_configuration_builds_its_strategy(path, make_federation):
    [config] = composed([f"strategy={path.stem}"])
    strategy = make_federation(10).configured(config["strategy"])
    assert isinstance(strategy, RobustStrategy)
    assert any(isinstance(row.build(make_federation(10), 1.0), type(strategy)) for row in DEFENCES.values())


def _fields(result: Aggregation) -> list[np.ndarray]:
    return [getattr(result, field.name) for field in fields(Aggregation)]


def _assert_left_out(defence: Defence, mask: ClientMask) -> None:
    assert mask.sum() == (0 if defence.selects is None else NUM_CLIENTS - defence.selects)


def _assert_among(update, rows) -> None:
    ulp = np.spacing(np.abs(rows).max(axis=0))
    assert (update >= rows.min(axis=0) - ulp).all()
    assert (update <= rows.max(axis=0) + ulp).all()
