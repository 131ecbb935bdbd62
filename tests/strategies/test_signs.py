import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_backdoor.core.layout import Layout, TensorSpec
from strategies.persistent_direction.signs import (
    deviation_signs,
    even_shares,
    parameters_alike,
    tensors_alike,
)


def layout(*sizes):
    """Return parameters of these sizes, with a buffer in between that is no part of the vector."""
    tensors = [TensorSpec(f"tensor {index}", (size,), "float32", True) for index, size in enumerate(sizes)]
    tensors.insert(1, TensorSpec("counter", (5,), "int64", False))
    return Layout(tuple(tensors))


@pytest.mark.parametrize(("count", "expected"), [(3, 3), (10, 10), (99, 10)])
def test_parameters_are_drawn_once_each(count, expected):
    drawn = parameters_alike(layout(4, 6), count, np.random.default_rng(0))
    assert len(set(drawn.tolist())) == expected
    assert (np.diff(drawn) > 0).all()
    assert 0 <= drawn[0] <= drawn[-1] < 10


def test_parameters_are_drawn_in_proportion():
    drawn = parameters_alike(layout(1000, 9000), 1000, np.random.default_rng(0))
    assert 60 < (drawn < 1000).sum() < 140  # 100 expected, 9 the standard deviation


@pytest.mark.parametrize(
    ("sizes", "count", "shares"),
    [
        ([100, 100, 100], 90, [30, 30, 30]),
        ([100, 4, 100], 90, [43, 4, 43]),
        ([2, 1000, 10], 101, [2, 89, 10]),
        ([5, 6], 99, [5, 6]),
        ([9, 9, 9], 2, [0, 1, 1]),
        ([], 9, []),
    ],
)
def test_tensors_have_the_same_share_as_far_as_they_go(sizes, count, shares):
    assert even_shares(sizes, count) == shares


@given(st.lists(st.integers(1, 9), max_size=6), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_each_tensor_is_looked_at_as_often_as_it_shall_be(sizes, count, seed):
    # Without any tensor too: so a rule is built to check its settings, before there is a model.
    places = tensors_alike(layout(*sizes), count, np.random.default_rng(seed))
    assert places.dtype == np.int64
    assert (np.diff(places) > 0).all()
    owners = np.repeat(np.arange(len(sizes)), sizes)[places]
    assert np.bincount(owners, minlength=len(sizes)).tolist() == even_shares(sizes, count)


def test_signs_are_taken_from_the_median_of_the_trusted():
    updates = np.array([[1, 9, 5], [2, 9, 5], [3, 9, 4], [50, 9, 7]], dtype=np.float32)
    everybody, first_three = np.ones(4, bool), np.array([True, True, True, False])
    signs = deviation_signs(updates[:, [0, 2]], everybody)  # medians 2.5 and 5
    np.testing.assert_array_equal(signs, [[-1, 0], [-1, 0], [1, -1], [1, 1]])
    signs = deviation_signs(updates[:, [0, 2]], first_three)  # medians 2 and 5
    np.testing.assert_array_equal(signs, [[-1, 0], [0, 0], [1, -1], [1, 1]])
    assert signs.dtype == np.int8
    np.testing.assert_array_equal(
        deviation_signs(updates[:, [0]], ~everybody),
        deviation_signs(updates[:, [0]], everybody),
    )
