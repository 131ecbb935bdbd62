"""What known numbers explain of similarities, against a regression of the directions themselves."""

import numpy as np
import pytest

from strategies.known_differences import UNLIKE, apart_from


def directions(num_clients, seed=0):
    return np.random.default_rng(seed).standard_normal((num_clients, 30))


@pytest.mark.parametrize("number", [0, 1, 500])
def test_numbers_that_are_all_the_same_explain_nothing(number):
    similar = directions(8) @ directions(8).T
    np.testing.assert_array_equal(apart_from(similar, np.full((8, 2), number)), similar)


def test_what_is_left_is_that_of_a_ridge_regression_of_the_directions():
    sizes, rounds = np.array([20, 900, 60, 500, 30, 200, 1500.0]), np.array([3, 5, 9, 4, 8, 16, 5.0])
    logarithms = np.log(np.stack([sizes, rounds], axis=1))
    pulls = directions(7) + logarithms @ directions(2, seed=1)
    z = logarithms - logarithms.mean(axis=0)
    # Ridge regression is least squares with a row more for each slope, √λ against 0.
    more = np.vstack([z, np.sqrt(7) * UNLIKE * np.eye(2)])
    rest = pulls - z @ np.linalg.lstsq(more, np.vstack([pulls, 0 * pulls[:2]]))[0]
    own = np.diag(pulls @ pulls.T)
    wanted = rest @ rest.T
    np.fill_diagonal(wanted, own - z @ np.linalg.lstsq(more, np.append(own, [0, 0]))[0])
    known = np.stack([sizes, rounds], axis=1)
    np.testing.assert_allclose(apart_from(pulls @ pulls.T, known), wanted, rtol=1e-9, atol=1e-9)


def test_numbers_that_differ_by_one_of_many_change_next_to_nothing():
    similar = directions(10) @ directions(10).T
    apart = apart_from(similar, 500 + (np.arange(10) % 3 == 0)[:, None])
    np.testing.assert_allclose(apart, similar, atol=1e-3 * similar.max())


def test_many_matrices_are_treated_as_each_alone():
    similar = np.stack([directions(6, seed) @ directions(6, seed).T for seed in range(3)])
    sizes = np.array([[10], [20], [40], [80], [160], [320]])
    alone = np.stack([apart_from(matrix, sizes) for matrix in similar])
    np.testing.assert_allclose(apart_from(similar, sizes), alone, rtol=1e-12)
