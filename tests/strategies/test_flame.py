"""FLAME against figures worked out by hand."""

import math

import numpy as np
import pytest

from strategies.numerics.cosines import cosine_distances
from strategies.numerics.linear import norms
from strategies.rules.flame import Flame, largest_group


def unit(*degrees):
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def distances_of(rows):
    rows = np.asarray(rows, dtype=np.float32)
    return cosine_distances(rows, norms(rows))


def test_cosine_distances_by_hand():
    # Angles 0°, 60°, 180° and lengths that do not matter; the last row has no direction.
    rows = np.concatenate([unit(0, 60, 180) * [[3.0], [0.5], [1e20]], [[0.0, 0.0]]])
    expected = [[0, 0.5, 2, 1], [0.5, 0, 1.5, 1], [2, 1.5, 0, 1], [1, 1, 1, 0]]
    np.testing.assert_allclose(distances_of(rows), expected, atol=1e-6)


def test_rows_without_a_direction_are_alike():
    np.testing.assert_array_equal(distances_of(np.zeros((3, 2))), np.zeros((3, 3)))


@pytest.mark.parametrize("alone", [(0,), (2, 5)])
def test_the_group_of_more_than_half_is_admitted(alone):
    # All pairs of the majority are equally far apart, the others point the other way.
    rows = np.full((7, 7), 0.1) + np.eye(7)
    rows[list(alone)] *= -1
    np.testing.assert_array_equal(largest_group(distances_of(rows)), ~np.isin(np.arange(7), alone))


def test_nobody_is_left_out_where_all_are_alike_or_only_two():
    assert largest_group(distances_of(np.ones((5, 3)))).all()
    assert largest_group(distances_of(unit(0, 180))).all()


def test_admitted_updates_are_clipped_to_the_median_norm(make_federation, make_clients):
    # Norms 1, 2, 3, 4 and 2 around the same direction, and 10 against it: the median of all six is 2.5.
    lengths = np.array([1, 2, 3, 4, 2, -10.0])
    rows = lengths[:, None] * np.array([[0.6, 0.8]])
    result = make_federation(6).build(Flame, noise_factor=0).aggregate(make_clients(rows))
    np.testing.assert_allclose(result.clip_coefficients, [1, 1, 2.5 / 3, 2.5 / 4, 1, 0.25], rtol=1e-6)
    np.testing.assert_array_equal(result.filtered, [False] * 5 + [True])
    np.testing.assert_allclose(result.weights, [0.2] * 5 + [0])
    # (1 + 2 + 2.5 + 2.5 + 2) / 5 = 2 along (.6, .8)
    np.testing.assert_allclose(result.update, [1.2, 1.6], rtol=1e-6)


def test_noise_has_lambda_times_the_median_norm_and_follows_from_seed_and_round(
    make_federation, make_clients
):
    rows = np.zeros((4, 40_000), dtype=np.float32)
    rows[:, 0] = [1, 2, 4, 8]
    strategy = make_federation(4).build(Flame, noise_factor=0.1)
    first, again, later = (
        strategy.aggregate(make_clients(rows, server_round=number)).update for number in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    # 39,999 draws of σ = .1 · 3: their mean and standard deviation stay within 5 of their own errors.
    noise, other = first[1:], later[1:]
    assert abs(noise.mean()) < 5 * 0.3 / math.sqrt(noise.size)
    assert abs(noise.std() - 0.3) < 5 * 0.3 / math.sqrt(2 * noise.size)
    assert abs(np.corrcoef(noise, other)[0, 1]) < 5 / math.sqrt(noise.size)
