import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fl_backdoor.analysis.difference import difference, paired, sign_flip_p, welch

FIGURES = st.lists(st.floats(0, 1).map(lambda share: round(share, 4)), min_size=2, max_size=6)


def test_pairs_by_hand():
    found = difference({0: 0.5, 1: 0.6, 2: 0.7}, {2: 0.9, 1: 0.7, 0: 0.8})
    # Differences 0.3, 0.1, 0.2: mean 0.2, deviation 0.1; Student's t of 2 degrees at 97.5 % is 4.30265.
    assert (found.method, found.mean) == ("paired", pytest.approx(0.2))
    reach = 4.302652729911275 * 0.1 / math.sqrt(3)
    assert (found.low, found.high) == (pytest.approx(0.2 - reach), pytest.approx(0.2 + reach))
    assert found.larger is False, "-0.048 to 0.448"
    assert found.p == 0.25, "all three have the same sign, as have 2 of 8 flips"


def test_pairs_hold_less_noise_than_the_runs_themselves():
    a, b = [0.1, 0.5, 0.9], [0.12, 0.525, 0.918]
    assert paired(a, b).larger is True
    assert welch(a, b).larger is False


def test_seeds_of_one_side_alone_are_left_out_of_pairs():
    found = difference({0: 0.5, 1: 0.6, 7: 0.0}, {0: 0.6, 1: 0.7, 8: 1.0})
    assert (found.a, found.b) == ((0.5, 0.6), (0.6, 0.7))


def test_other_seeds_are_compared_by_welch():
    a, b = {0: 0.5, 1: 0.6, 2: 0.7}, {3: 0.9, 4: 0.94}
    found = difference(a, b)
    # As on paper: variances 0.01 / 3 and 0.0008 / 2.
    assert (found.method, found.mean) == ("Welch", pytest.approx(0.32))
    independent = stats.ttest_ind(list(b.values()), list(a.values()), equal_var=False)
    interval = independent.confidence_interval(0.95)
    assert (found.low, found.high, found.p) == pytest.approx(
        (interval.low, interval.high, independent.pvalue)
    )
    assert found.larger is True, "0.098 to 0.542"


def test_one_seed_on_a_side():
    found = difference({0: 0.5, 1: 0.7}, {5: 0.7})
    assert (found.method, found.mean, found.larger) == ("alone", pytest.approx(0.1), None)
    assert (found.low, found.high, found.p) == (None, None, None)


def test_of_one_common_seed_the_difference_is_taken_on_that_seed():
    found = difference({0: 0.5, 1: 0.7}, {1: 0.9})
    assert (found.a, found.b, found.mean) == ((0.7,), (0.9,), pytest.approx(0.2))


def test_a_figure_that_a_side_does_not_know():
    assert difference({}, {0: 0.5}) is None


def test_the_same_figures_do_not_differ():
    for found in (paired([0.5, 0.7], [0.5, 0.7]), welch([0.5, 0.5], [0.5, 0.5])):
        assert (found.mean, found.low <= 0 <= found.high, found.larger, found.p) == (0, True, False, 1.0)


def test_constant_figures_that_are_apart():
    for found in (paired([0.25, 0.5], [0.5, 0.75]), welch([0.25, 0.25], [0.5, 0.5])):
        assert (found.low, found.high, found.larger) == (0.25, 0.25, True)


@settings(deadline=None)
@given(st.data(), FIGURES)
def test_pairs_agree_with_scipy(data, a):
    b = data.draw(st.lists(st.floats(0, 1).map(lambda x: round(x, 4)), min_size=len(a), max_size=len(a)))
    differences = np.subtract(b, a)
    found = paired(a, b)
    low, high = stats.t.interval(
        0.95, len(a) - 1, loc=differences.mean(), scale=max(stats.sem(differences), 1e-300)
    )
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9))
    exact = stats.permutation_test(
        (differences,), lambda x, axis: np.abs(x.sum(axis=axis)).round(9),
        permutation_type="samples", n_resamples=np.inf, alternative="greater", vectorized=True,
    )  # fmt: skip
    assert found.p == pytest.approx(exact.pvalue)


@settings(deadline=None)
@given(FIGURES, FIGURES)
def test_the_sides_may_be_exchanged(a, b):
    there, back = welch(a, b), welch(b, a)
    assert (there.mean, there.low, there.high) == pytest.approx(
        (-back.mean, -back.high, -back.low), abs=1e-12
    )
    assert there.p == pytest.approx(back.p)


def test_six_seeds_are_the_fewest_that_can_get_below_five_per_cent():
    assert sign_flip_p([0.1] * 5) == 2 / 2**5
    assert sign_flip_p([0.1] * 6) == 2 / 2**6 < 0.05
    assert paired([0.0] * 17, [0.1] * 17).p is None, "too many flips to try them all"
