"""What known numbers explain of similarities, against a regression of the directions themselves."""

import numpy as np
import pytest

from strategies.persistent_direction.known_differences import UNLIKE, Known, apart_from


def directions(num_clients, seed=0):
    return np.random.default_rng(seed).standard_normal((num_clients, 30))


@pytest.mark.parametrize("number", [0, 1, 500])
def test_numbers_that_are_all_the_same_explain_nothing(number):
    similar = directions(8) @ directions(8).T
    known = Known(np.full((8, 2), number), np.full(8, 0.3))
    np.testing.assert_array_equal(apart_from(similar, known, power=3), similar)


@pytest.mark.parametrize("power", [1, 3])
def test_what_is_left_is_that_of_a_ridge_regression_of_the_directions(power):
    sizes, rounds = np.array([20, 900, 60, 500, 30, 200, 1500.0]), np.array([3, 5, 9, 4, 8, 16, 5.0])
    logarithms = np.log(np.stack([sizes, rounds], axis=1))
    pulls = directions(7) + logarithms @ directions(2, seed=1)
    z = logarithms - logarithms.mean(axis=0)
    # Ridge regression is least squares with a row more for each slope, √λ against 0.
    more = np.vstack([z, np.sqrt(7) * UNLIKE * np.eye(2)])
    rest = pulls - z @ np.linalg.lstsq(more, np.vstack([pulls, 0 * pulls[:2]]))[0]
    coverage = np.array([1, 1, 1, 0.5, 1, 0.5, 0.25])
    own = np.diag(pulls @ pulls.T) / coverage**power
    wanted = rest @ rest.T
    np.fill_diagonal(wanted, own - z @ np.linalg.lstsq(more, np.append(own, [0, 0]))[0])
    # Shares of what the largest is: all may see a tenth of that.
    known = Known(np.stack([sizes, rounds], axis=1), coverage / 10)
    np.testing.assert_allclose(apart_from(pulls @ pulls.T, known, power), wanted, rtol=1e-9, atol=1e-9)


def test_numbers_that_differ_by_one_of_many_change_next_to_nothing():
    similar = directions(10) @ directions(10).T
    known = Known(500 + (np.arange(10) % 3 == 0)[:, None], np.ones(10))
    apart = apart_from(similar, known, power=1)
    np.testing.assert_allclose(apart, similar, atol=1e-3 * similar.max())


def test_many_matrices_are_treated_as_each_alone():
    similar = np.stack([directions(6, seed) @ directions(6, seed).T for seed in range(3)])
    known = Known(np.array([[10], [20], [40], [80], [160], [320]]), np.array([1, 1, 1, 0.5, 0.2, 0.1]))
    alone = np.stack([apart_from(matrix, known, power=3) for matrix in similar])
    np.testing.assert_allclose(apart_from(similar, known, power=3), alone, rtol=1e-12)


def test_some_of_the_clients():
    known = Known(np.arange(8.0).reshape(4, 2), np.array([0.1, 0.2, 0.3, 0.4]))
    for some in (np.array([1, 3]), np.array([False, True, False, True])):
        np.testing.assert_array_equal(known.of(some).numbers, [[2, 3], [6, 7]])
        np.testing.assert_array_equal(known.of(some).coverage, [0.2, 0.4])
