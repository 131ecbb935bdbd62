"""What sizes explain of similarities, against a regression of the directions themselves."""

import numpy as np
import pytest

from strategies.sample_sizes import UNLIKE, apart_from_sizes


def directions(num_clients, seed=0):
    return np.random.default_rng(seed).standard_normal((num_clients, 30))


@pytest.mark.parametrize("size", [0, 1, 500])
def test_sizes_that_are_all_the_same_explain_nothing(size):
    similar = directions(8) @ directions(8).T
    np.testing.assert_array_equal(apart_from_sizes(similar, np.full(8, size)), similar)


def test_what_is_left_is_that_of_a_ridge_regression_of_the_directions():
    sizes = np.array([20, 900, 60, 500, 30, 200, 1500.0])
    shared = np.log(sizes)[:, None] * directions(1, seed=1)
    pulls = directions(7) + shared
    z = np.log(sizes) - np.log(sizes).mean()
    # Ridge regression is least squares with a row more, √λ against 0.
    penalty = np.sqrt(7) * UNLIKE
    slopes = np.linalg.lstsq(np.append(z, penalty)[:, None], np.vstack([pulls, 0 * pulls[:1]]))[0]
    rest = pulls - z[:, None] * slopes
    wanted = rest @ rest.T
    own = np.diag(pulls @ pulls.T)
    slope = np.linalg.lstsq(np.append(z, penalty)[:, None], np.append(own, 0))[0]
    np.fill_diagonal(wanted, own - z * slope)
    np.testing.assert_allclose(apart_from_sizes(pulls @ pulls.T, sizes), wanted, rtol=1e-9, atol=1e-9)


def test_sizes_that_differ_by_a_sample_change_next_to_nothing():
    similar = directions(10) @ directions(10).T
    apart = apart_from_sizes(similar, 500 + (np.arange(10) % 3 == 0))
    np.testing.assert_allclose(apart, similar, atol=1e-3 * similar.max())


def test_many_matrices_are_treated_as_each_alone():
    similar = np.stack([directions(6, seed) @ directions(6, seed).T for seed in range(3)])
    sizes = np.array([10, 20, 40, 80, 160, 320])
    alone = np.stack([apart_from_sizes(matrix, sizes) for matrix in similar])
    np.testing.assert_allclose(apart_from_sizes(similar, sizes), alone, rtol=1e-12)
