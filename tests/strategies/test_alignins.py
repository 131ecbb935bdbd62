"""AlignIns against figures worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from fl_backdoor.core.layout import Layout, TensorSpec
from strategies.numerics.cosines import cosines_with
from strategies.numerics.linear import norms
from strategies.numerics.scores import median_z_scores
from strategies.rules.alignins import AlignIns, sign_alignment


def test_direction_alignment_is_the_cosine_with_the_model():
    updates = np.array([[3, 4], [-3, -4], [4, -3], [0, 0], [6, 0]], np.float32)
    found = cosines_with(np.array([0.6, 0.8], np.float32), updates, norms(updates))
    np.testing.assert_allclose(found, [1, -1, 0, 0, 0.6], atol=1e-7)
    np.testing.assert_array_equal(cosines_with(np.zeros(2, np.float32), updates, norms(updates)), 0)


def test_sign_alignment_counts_the_largest_coordinates():
    # Signs add up to 3, 1, -1, 0: the majority's are + + - and none.
    updates = np.array([[4, 3, -2, 1], [4, -1, -3, -2], [1, 2, 5, 0.5], [0, 0, 0, -1]], np.float32)
    updates[3] = [0, 0, -1, 0.5]
    majority = np.sign(np.sign(updates).sum(axis=0))
    np.testing.assert_array_equal(majority, [1, 1, -1, 1])
    # Two of each: {4 3}, {4 -3}, {5 2}, {-1 .5}.
    np.testing.assert_array_equal(sign_alignment(updates, 0.5), [1, 1, 0.5, 1])
    # One of each: 4, 4, 5, -1.
    np.testing.assert_array_equal(sign_alignment(updates, 0.25), [1, 1, 0, 1])


def test_scores_by_hand():
    # Median 2, mean 3, variance (4 + 1 + 1 + 4 + ... ) of 1 2 2 2 8: (4 + 1 + 1 + 1 + 25) / 5 = 6.4.
    np.testing.assert_allclose(
        median_z_scores(np.array([1.0, 2, 2, 2, 8]), 1), np.array([1, 0, 0, 0, 6]) / 6.4**0.5
    )
    np.testing.assert_array_equal(median_z_scores(np.array([1, 1 + 1e-9, 1]), 1), 0)


@pytest.fixture
def aligned(make_federation, make_clients):
    layout = Layout((TensorSpec("weight", (4,), "float32", True),))

    def of(rows, **settings):
        rule = make_federation(len(rows)).knowing(layout=layout).build(AlignIns, kept_share=1, **settings)
        model = [np.array([1, 1, 1, 1], np.float32)]
        return rule.aggregate(replace(make_clients(rows), model=model))

    return of


def test_whoever_turns_signs_is_left_out_and_the_rest_is_clipped(aligned):
    # Cosines with the model: 1 1 1 1 and 0; shares of signs 1 1 1 1 and .5.
    rows = np.array([[1.0] * 4, [2.0] * 4, [3.0] * 4, [4.0] * 4, [9, 9, -9, -9]])
    result = aligned(rows)
    np.testing.assert_array_equal(result.flagged, [False] * 4 + [True])
    # The kept have the norms 2 4 6 8, whose median is 5.
    np.testing.assert_allclose(result.clip_coefficients, [1, 1, 5 / 6, 5 / 8, 5 / 18], rtol=1e-6)
    np.testing.assert_allclose(result.update, [(1 + 2 + 2.5 + 2.5) / 4] * 4, rtol=1e-6)


def test_either_figure_suffices_to_leave_a_client_out(aligned):
    # The last has everybody's signs and another direction.
    rows = np.array([[1.0] * 4, [1.0] * 4, [1.0] * 4, [1.0] * 4, [9, 0.1, 0.1, 0.1]])
    assert aligned(rows).flagged[4]
    # One of five is 1 / √(.2 · .8) = 2.5 standard deviations away from the others.
    assert aligned(rows, direction_bound=2.49).flagged[4]
    assert not aligned(rows, direction_bound=2.51).flagged.any()


def test_if_nobody_is_aligned_the_model_is_kept(aligned):
    # Two clients on either side of the median, each one deviation away.
    rows = np.array([[1.0, 1, 1, 1], [1.0, 1, -1, -1]])
    result = aligned(rows)
    assert result.filtered.all()
    np.testing.assert_array_equal(result.update, 0)
