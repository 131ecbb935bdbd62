"""FreqFed against figures worked out by hand."""

import math

import numpy as np

from strategies.rules.freqfed import FreqFed, largest_group, low_frequencies


def test_low_frequencies_by_hand():
    # Orthonormal type II of four values: the first is the sum / 2, the second Σ x_k cos(π(2k + 1)/8) / √2.
    row = [1.0, 2.0, -1.0, 4.0]
    second = sum(x * math.cos(math.pi * (2 * k + 1) / 8) for k, x in enumerate(row)) / math.sqrt(2)
    np.testing.assert_allclose(low_frequencies(np.float32([row]), 2), [[3, second]], rtol=1e-6)


def slow_and_fast(count, sign, seed):
    """Return rows with a common slow wave, of one sign or the other, below a fast one of their own."""
    random = np.random.default_rng(seed)
    at = np.arange(200)
    slow = sign * np.cos(np.pi * (at + 0.5) / 200)
    fast = np.cos(np.pi * 190 * (at + 0.5) / 200)
    noise = 0.1 * random.standard_normal((count, 200))
    return slow + 3 * random.choice([-1, 1], (count, 1)) * fast + noise


def test_whoever_differs_at_low_frequencies_is_left_out(make_federation, make_clients):
    rows = np.vstack([slow_and_fast(7, 1, 1), slow_and_fast(3, -1, 2)])
    result = make_federation(10).build(FreqFed, kept_share=0.1).aggregate(make_clients(rows))
    np.testing.assert_array_equal(result.flagged, [False] * 7 + [True] * 3)


def test_high_frequencies_would_split_the_benign(make_federation, make_clients):
    rows = np.vstack([slow_and_fast(7, 1, 1), slow_and_fast(3, -1, 2)])
    result = make_federation(10).build(FreqFed, kept_share=1).aggregate(make_clients(rows))
    assert result.flagged[:7].any()


def test_the_larger_group_or_the_first_of_two():
    two = np.where(np.arange(9)[:, None] // 4 == np.arange(9) // 4, 0.0, 1.0)
    two[8] = two[:, 8] = np.where(np.arange(9) >= 4, 0.0, 1.0)
    np.testing.assert_array_equal(largest_group(two), [False] * 4 + [True] * 5)
    np.testing.assert_array_equal(largest_group(two[:8, :8]), [True] * 4 + [False] * 4)


def test_nobody_is_left_out_where_there_are_no_groups():
    assert largest_group(np.zeros((4, 4))).all()
    assert largest_group(np.array([[0.0, 2], [2, 0]])).all()
