import numpy as np
import pytest

from strategies.numerics.iqr import above, iqr_bounds, outside

# Quartiles by hand: with n values the quantile q lies at place q·(n - 1), linear between neighbours.
BY_HAND = [
    ([1, 2, 6], 1.0, (1.5 - 2.5, 4 + 2.5)),
    ([1, 2, 3, 4], 1.5, (1.75 - 2.25, 3.25 + 2.25)),
    ([16, 1, 8, 2, 4], 0.5, (2 - 3, 8 + 3)),
    ([1, 2, 3, 4, 5, 6], 2.0, (2.25 - 5, 4.75 + 5)),
    ([5, 5, 5], 1.5, (5, 5)),
    ([7], 1.5, (7, 7)),
]


@pytest.mark.parametrize(("values", "k", "bounds"), BY_HAND)
def test_bounds_by_hand(values, k, bounds):
    assert iqr_bounds(np.array(values, dtype=float), k) == pytest.approx(bounds, rel=1e-15)


def test_a_value_on_the_bound_is_inside_and_one_beyond_it_is_outside():
    values = np.array([1.0, 2, 4, 8, 14])
    assert above(values, 1.0).tolist() == [False] * 5  # 8 + 6 = 14
    assert above(values, 0.99).tolist() == [False] * 4 + [True]


def test_outside_sees_both_ends_and_above_the_upper_one_alone():
    values = np.array([1.0, 10, 11, 12, 13, 30])  # Q1 10.25, Q3 12.75, IQR 2.5
    assert outside(values, 1.5).tolist() == [True, False, False, False, False, True]
    assert above(values, 1.5).tolist() == [False] * 5 + [True]


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e3, 1e30])
def test_values_equal_but_for_rounding_are_inside(scale):
    values = scale * (1 + 1e-7 * np.array([0.0, 0, 0, 0, 0, 1]))
    assert not outside(values, 0.3).any()
    assert not outside(scale - (values - scale), 0.3).any()


def test_all_zero_is_inside():
    assert not outside(np.zeros(5), 0.0).any()


@pytest.mark.parametrize("huge", [1e6, 1e9, 1e15, 1e30])
def test_a_huge_value_hides_no_other(huge):
    # Q1 = 1, Q3 = 1 + 0.75·2 = 2.5, IQR = 1.5: the upper bound is 2.95, whatever the largest value is.
    assert above(np.array([1.0, 1, 1, 1, 3, huge]), 0.3).tolist() == [False] * 4 + [True, True]


@pytest.mark.parametrize("k", [0.0, 0.3, 1.5])
@pytest.mark.parametrize("num_clients", range(3, 12))
def test_somebody_is_always_inside(k, num_clients):
    rng = np.random.default_rng(num_clients)
    for _ in range(50):
        assert not outside(rng.lognormal(sigma=3, size=num_clients), k).all()
