import math

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from strategies.numerics import threads
from strategies.numerics.columns import CHUNK_COLUMNS, stripes
from strategies.numerics.linear import (
    CANCELLED_DOUBLE,
    mean_distances,
    norms,
    squared_distances,
    weighted_sum,
)

SCALES = [1e-3, 1.0, 1e3]
NARROW, WIDE = 200, 2 * CHUNK_COLUMNS + 3
WIDTHS = [1, 5, CHUNK_COLUMNS - 1, CHUNK_COLUMNS, CHUNK_COLUMNS + 3, 5 * CHUNK_COLUMNS + 1]

DOUBLE, SINGLE = 1e-9, 1e-6
"""How far distances may be off, relative to themselves, where float64 or float32 holds the products."""


def digits(num_params):
    return DOUBLE if num_params <= CHUNK_COLUMNS else SINGLE


def matrix(num_clients, num_params, scale=1.0):
    rng = np.random.default_rng(num_params)
    return (scale * rng.standard_normal((num_clients, num_params))).astype(np.float32)


def pairwise_distances(updates):
    return np.sqrt(squared_distances(updates))


def exact_distances(updates):
    wide = updates.astype(np.float64)
    return cdist(wide, wide)


def test_distances_by_hand():
    distances = pairwise_distances(np.array([[0, 0], [3, 4], [0, 8]], dtype=np.float32))
    np.testing.assert_array_equal(distances, [[0, 5, 8], [5, 0, 5], [8, 5, 0]])


def test_distances_of_many_columns_by_hand():
    updates = np.zeros((3, WIDE), dtype=np.float32)
    updates[1, 0], updates[1, -1], updates[2, CHUNK_COLUMNS] = 3, 4, 12
    np.testing.assert_allclose(
        pairwise_distances(updates), [[0, 5, 12], [5, 0, 13], [12, 13, 0]], rtol=SINGLE
    )


def test_mean_distances_by_hand():
    updates = np.array([[0, 0], [3, 4], [0, 8]], dtype=np.float32)
    np.testing.assert_array_equal(mean_distances(squared_distances(updates)), [6.5, 5, 6.5])
    np.testing.assert_array_equal(mean_distances(squared_distances(updates[:1])), [0])


@pytest.mark.parametrize("num_params", WIDTHS)
def test_distances_agree_with_scipy(num_params):
    updates = matrix(5, num_params)
    distances = pairwise_distances(updates)
    np.testing.assert_allclose(distances, exact_distances(updates), rtol=digits(num_params))
    np.testing.assert_array_equal(distances, distances.T)
    assert not distances.diagonal().any()


@pytest.mark.parametrize("num_params", [NARROW, WIDE])
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("spread", [1e-1, 3e-3, 1.1e-3, 0.9e-3, 1e-4, 1e-6])
def test_distances_of_rows_that_nearly_cancel(scale, spread, num_params):
    base = matrix(1, num_params, scale).astype(np.float64)
    updates = (base + spread * matrix(6, num_params, scale)).astype(np.float32)
    np.testing.assert_allclose(pairwise_distances(updates), exact_distances(updates), rtol=digits(num_params))


@pytest.mark.parametrize("num_params", [NARROW, WIDE])
@pytest.mark.parametrize("spread", [0.3, 0.1, 0.03, 1e-2, 1e-3, 1e-5])
def test_distances_within_two_camps_far_apart(spread, num_params):
    # Wherever the first origin lies, the rows of one camp cancel: here the guards must see it.
    camps = matrix(2, num_params).astype(np.float64)[[0, 1, 0, 1, 0, 1, 0]]
    updates = (camps + spread * matrix(7, num_params)).astype(np.float32)
    np.testing.assert_allclose(pairwise_distances(updates), exact_distances(updates), rtol=digits(num_params))


def test_distances_of_camps_within_camps():
    # Pairs at 1, 1e-4, 1e-8, …: each needs an origin of its own.
    steps = [matrix(1, NARROW, 10.0 ** (-4 * depth))[0] for depth in range(6)]
    updates = np.array([*steps, np.zeros(NARROW)], dtype=np.float32)
    np.testing.assert_allclose(pairwise_distances(updates), exact_distances(updates), rtol=DOUBLE)


def test_the_guard_stands_where_the_gram_product_still_has_nine_digits():
    base = matrix(1, 200).astype(np.float64)
    updates = (base + 1e-4 * matrix(6, 200)).astype(np.float32).astype(np.float64)
    gram = updates @ updates.T
    squares = np.diag(gram)
    squared = squares[:, None] + squares[None, :] - 2 * gram
    off = ~np.eye(6, dtype=bool)
    assert (squared[off] < CANCELLED_DOUBLE * (squares[:, None] + squares[None, :])[off]).all()
    error = np.abs(np.sqrt(squared[off]) / exact_distances(updates)[off] - 1)
    assert error.max() > 1e-10  # what the guard spares us


@pytest.mark.parametrize("num_params", [NARROW, WIDE])
def test_equal_rows_have_distance_zero_exactly(num_params):
    updates = np.repeat(matrix(2, num_params, 1e3), [3, 2], axis=0)
    distances = pairwise_distances(updates)
    camp = np.array([0, 0, 0, 1, 1])
    np.testing.assert_array_equal(distances == 0, camp[:, None] == camp)


@pytest.mark.parametrize("num_params", [NARROW, WIDE])
@pytest.mark.parametrize("factor", [1e6, 1e25])
@pytest.mark.parametrize("place", [0, 2])
def test_a_huge_row_costs_the_others_no_digit(place, factor, num_params):
    updates = matrix(5, num_params)
    updates = updates[0] + np.float32(1e-5) * updates
    updates[place] *= np.float32(factor)
    np.testing.assert_allclose(pairwise_distances(updates), exact_distances(updates), rtol=digits(num_params))


@pytest.mark.parametrize("num_params", [NARROW, WIDE])
@pytest.mark.parametrize("scale", [1e-30, 1e-22, 1e-18, 1e-15, 1e15, 1e19, 2e29])
def test_distances_at_the_ends_of_float32(scale, num_params):
    updates = matrix(4, num_params, scale)
    np.testing.assert_allclose(pairwise_distances(updates), exact_distances(updates), rtol=digits(num_params))


@pytest.mark.parametrize("num_params", [2, WIDE])
def test_distances_of_the_largest_rows_are_finite(num_params):
    updates = np.zeros((2, num_params), dtype=np.float32)
    updates[:, 0] = 2e30, -2e30
    np.testing.assert_allclose(mean_distances(squared_distances(updates)), 4e30, rtol=1e-6)


@pytest.mark.parametrize("num_params", [NARROW, WIDE])
def test_moving_all_rows_moves_no_distance(num_params):
    # Multiples of 1/8 below 2**17: sums are exact.
    updates = np.round(matrix(5, num_params, 8)) / 8
    moved = updates + np.round(1e4 * matrix(1, num_params))
    distances = pairwise_distances(updates)
    np.testing.assert_allclose(pairwise_distances(moved), distances, rtol=digits(num_params))


@pytest.mark.parametrize("num_params", WIDTHS)
def test_norms_agree_with_hypot(num_params):
    updates = matrix(3, num_params)
    expected = [math.hypot(*row) for row in updates.astype(np.float64).tolist()]
    np.testing.assert_allclose(norms(updates), expected, rtol=1e-13)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("num_params", WIDTHS)
def test_weighted_sum_is_the_exact_sum_rounded_once(num_params, scale):
    updates = matrix(4, num_params, scale)
    weights = np.array([0.1, 0.2, 0.3, 0.4])
    places = range(0, num_params, max(1, num_params // 97))
    expected = [
        math.fsum(w * u for w, u in zip(weights, column, strict=True))
        for column in updates[:, places].astype(np.float64).T
    ]
    total = weighted_sum(weights, updates)
    assert total.dtype == np.float32
    np.testing.assert_allclose(total[places], expected, rtol=6e-8, atol=scale * 1e-15)


@pytest.mark.parametrize(
    ("weights", "total"), [([0, 0.5, 0, 0.25], [3, 6]), ([0, 0, 1, 0], [3, 5]), ([0, 0, 0, 0], [0, 0])]
)
def test_weighted_sum_by_hand(weights, total):
    updates = np.array([[1e30, 1], [2, 4], [3, 5], [8, 16]], dtype=np.float32)
    np.testing.assert_array_equal(weighted_sum(np.array(weights, dtype=np.float64), updates), total)


@pytest.mark.parametrize(
    "shape", [(1, 1), (3, CHUNK_COLUMNS), (50, 1_000_001), (100, 11_173_962), (1000, 99_999)]
)
def test_stripes_cover_each_column_once(shape):
    chunks = [chunk for stripe in stripes(shape) for chunk in stripe]
    assert (chunks[0].start, chunks[-1].stop) == (0, shape[1])
    assert [chunk.start for chunk in chunks[1:]] == [chunk.stop for chunk in chunks[:-1]]
    assert len(stripes(shape)) <= 32
    assert max(chunk.stop - chunk.start for chunk in chunks) * shape[0] <= 1 << 20


@pytest.mark.parametrize("num_params", [CHUNK_COLUMNS + 3, 70 * CHUNK_COLUMNS - 5])
def test_results_do_not_depend_on_the_number_of_threads(num_params, monkeypatch):
    updates = matrix(7, num_params)
    updates[1] = updates[0]
    weights = np.linspace(0.1, 0.2, 7)
    results = []
    for num_threads in (1, 2, 5):
        monkeypatch.setattr(threads, "usable_cores", lambda count=num_threads: count)
        results.append((pairwise_distances(updates), norms(updates), weighted_sum(weights, updates)))
    for other in results[1:]:
        for mine, theirs in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_the_matrix_is_not_written_to():
    updates = matrix(4, WIDE)
    updates.flags.writeable = False
    pairwise_distances(updates)
    norms(updates)
    weighted_sum(np.array([0.5, 0.5, 0, 0]), updates)
