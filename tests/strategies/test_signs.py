import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_backdoor.updates import Layout, TensorSpec
from strategies.signs import Sample, even_shares, farthest_signs

EVERYBODY = np.ones(4, bool)


def layout(*sizes):
    """Return parameters of these sizes, with a buffer in between that is no part of the vector."""
    tensors = [TensorSpec(f"tensor {index}", (size,), "float32", True) for index, size in enumerate(sizes)]
    tensors.insert(1, TensorSpec("counter", (5,), "int64", False))
    return Layout(tuple(tensors))


def whole(*sizes):
    return Sample.drawn(layout(*sizes), sum(sizes), np.random.default_rng(0))


def test_a_model_without_parameters_has_no_places():
    # So a rule is built to check its settings, before there is a model.
    sample = Sample.drawn(Layout(()), 9, np.random.default_rng(0))
    assert (len(sample.places), sample.bounds) == (0, ())


@pytest.mark.parametrize(("count", "expected"), [(3, 3), (10, 10), (99, 10)])
def test_places_are_drawn_once_each(count, expected):
    places = Sample.drawn(layout(4, 6), count, np.random.default_rng(0)).places
    assert len(set(places.tolist())) == expected
    assert (np.diff(places) > 0).all()
    assert 0 <= places[0] <= places[-1] < 10


@pytest.mark.parametrize(
    ("sizes", "count", "shares"),
    [
        ([100, 100, 100], 90, [30, 30, 30]),
        ([100, 4, 100], 90, [43, 4, 43]),
        ([2, 1000, 10], 101, [2, 89, 10]),
        ([5, 6], 99, [5, 6]),
        ([9, 9, 9], 2, [0, 1, 1]),
    ],
)
def test_tensors_have_the_same_share_as_far_as_they_go(sizes, count, shares):
    assert even_shares(sizes, count) == shares


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_bounds_separate_the_tensors(sizes, count, seed):
    sample = Sample.drawn(layout(*sizes), count, np.random.default_rng(seed))
    owners = np.repeat(np.arange(len(sizes)), sizes)[sample.places]
    runs = np.split(owners, sample.bounds)
    assert len(runs.pop()) == 0  # the last bound is the end
    assert [set(run) for run in runs] == [{owner} for owner in np.unique(owners)]


def test_signs_are_taken_from_the_median_of_the_trusted():
    updates = np.array([[1, 5], [2, 5], [3, 4], [50, 7]], dtype=np.float32)
    sample, first_three = whole(2), np.array([True, True, True, False])
    signs = farthest_signs(updates, sample, EVERYBODY, 1.0)  # medians 2.5 and 5
    np.testing.assert_array_equal(signs, [[-1, 0], [-1, 0], [1, -1], [1, 1]])
    assert signs.dtype == np.int8
    signs = farthest_signs(updates, sample, first_three, 1.0)  # medians 2 and 5
    np.testing.assert_array_equal(signs, [[-1, 0], [0, 0], [1, -1], [1, 1]])
    np.testing.assert_array_equal(
        farthest_signs(updates, sample, ~EVERYBODY, 1.0), farthest_signs(updates, sample, EVERYBODY, 1.0)
    )


def test_each_client_counts_where_it_moved_farthest_in_each_tensor():
    # Medians are 0. Of tensors of 4 and 3 coordinates 40 % are 1.6 and 1.2: two of each.
    updates = np.zeros((4, 7), dtype=np.float32)
    updates[0] = [1, -2, 3, -4, 100, -300, 200]
    updates[1] = [-9, 8, 7, 6, 0.03, 0.02, -0.01]
    signs = farthest_signs(updates, whole(4, 3), np.array([False, False, True, True]), 0.4)
    np.testing.assert_array_equal(signs[0], [0, 0, 1, -1, 0, -1, 1])
    np.testing.assert_array_equal(signs[1], [-1, 1, 0, 0, 1, 1, 0])
    assert not signs[2:].any()


def test_coordinates_that_are_not_looked_at_do_not_matter():
    random = np.random.default_rng(1)
    sample = Sample.drawn(layout(30, 20), 25, random)
    updates = random.standard_normal((4, 50)).astype(np.float32)
    changed = random.standard_normal((4, 50)).astype(np.float32)
    changed[:, sample.places] = updates[:, sample.places]
    np.testing.assert_array_equal(
        farthest_signs(updates, sample, EVERYBODY, 0.4), farthest_signs(changed, sample, EVERYBODY, 0.4)
    )


def test_small_noise_turns_fewer_of_the_signs_that_count():
    # One large coordinate in ten, noise between the two sizes: signs of the large ones survive it.
    random = np.random.default_rng(2)
    updates = random.standard_normal((4, 2000)).astype(np.float32) * np.where(np.arange(2000) % 10, 0.1, 10)
    noise = random.standard_normal(updates.shape).astype(np.float32)

    def turned(share):
        before, after = (
            farthest_signs(each, whole(2000), EVERYBODY, share).astype(int)
            for each in (updates, updates + noise)
        )
        return (before * after < 0).sum() / (before != 0).sum()

    assert turned(0.1) < 0.06  # of two normal values whose spreads are as 10 to 1: arctan(1/10)/π = 0.03
    assert turned(1.0) > 0.35
