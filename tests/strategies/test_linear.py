import math

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from strategies.linear import (
    CANCELLED,
    CHUNK_COLUMNS,
    mean_distances,
    norms,
    pairwise_distances,
    weighted_sum,
)

SCALES = [1e-3, 1.0, 1e3]
WIDTHS = [1, 5, CHUNK_COLUMNS - 1, CHUNK_COLUMNS, CHUNK_COLUMNS + 3]


def matrix(num_clients, num_params, scale=1.0):
    rng = np.random.default_rng(num_params)
    return (scale * rng.standard_normal((num_clients, num_params))).astype(np.float32)


def exact_distances(updates):
    wide = updates.astype(np.float64)
    return cdist(wide, wide)


def test_distances_by_hand():
    distances = pairwise_distances(np.array([[0, 0], [3, 4], [0, 8]], dtype=np.float32))
    np.testing.assert_array_equal(distances, [[0, 5, 8], [5, 0, 5], [8, 5, 0]])


def test_mean_distances_by_hand():
    updates = np.array([[0, 0], [3, 4], [0, 8]], dtype=np.float32)
    np.testing.assert_array_equal(mean_distances(updates), [6.5, 5, 6.5])
    np.testing.assert_array_equal(mean_distances(updates[:1]), [0])


@pytest.mark.parametrize("num_params", WIDTHS)
def test_distances_agree_with_scipy(num_params):
    updates = matrix(5, num_params)
    np.testing.assert_allclose(pairwise_distances(updates), exact_distances(updates), rtol=1e-9)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("spread", [1e-1, 3e-3, 1.1e-3, 0.9e-3, 1e-4, 1e-6])
def test_distances_of_rows_that_nearly_cancel(scale, spread):
    base = matrix(1, 200, scale).astype(np.float64)
    updates = (base + spread * matrix(6, 200, scale)).astype(np.float32)
    # Just above the guard the Gram product loses six of its sixteen digits, below it nothing is lost.
    np.testing.assert_allclose(pairwise_distances(updates), exact_distances(updates), rtol=1e-9)


def test_the_guard_stands_where_the_gram_product_still_has_nine_digits():
    base = matrix(1, 200).astype(np.float64)
    updates = (base + 1e-4 * matrix(6, 200)).astype(np.float32).astype(np.float64)
    gram = updates @ updates.T
    squares = np.diag(gram)
    squared = squares[:, None] + squares[None, :] - 2 * gram
    off = ~np.eye(6, dtype=bool)
    assert (squared[off] < CANCELLED * (squares[:, None] + squares[None, :])[off]).all()
    error = np.abs(np.sqrt(squared[off]) / exact_distances(updates)[off] - 1)
    assert error.max() > 1e-10  # what the guard spares us


def test_equal_rows_have_distance_zero_exactly():
    updates = np.repeat(matrix(1, 1000, 1e3), 4, axis=0)
    np.testing.assert_array_equal(pairwise_distances(updates), np.zeros((4, 4)))


def test_a_huge_row_costs_the_others_no_digit():
    updates = matrix(5, 300)
    updates[:4] = updates[0] + np.float32(1e-5) * updates[:4]
    updates[4] *= 1e6
    np.testing.assert_allclose(pairwise_distances(updates), exact_distances(updates), rtol=1e-9)


def test_distances_of_the_largest_rows_are_finite():
    updates = np.array([[2e30, 0], [-2e30, 0]], dtype=np.float32)
    np.testing.assert_allclose(mean_distances(updates), 4e30, rtol=1e-6)


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
