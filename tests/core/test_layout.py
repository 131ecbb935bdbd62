import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fl_backdoor.core.errors import ReplyError
from fl_backdoor.core.layout import LARGEST, LARGEST_COUNT, Layout, TensorSpec

LAYOUT = Layout(
    (
        TensorSpec("conv", (2, 1, 2), "float32", True),
        TensorSpec("mean", (3,), "float32", False),
        TensorSpec("count", (), "int64", False),
        TensorSpec("scale", (), "float32", True),
        TensorSpec("bias", (2,), "float32", True),
    )
)


def state(offset=0.0, count=0):
    """Return 0, 1, …, 9 in the tensors' order (the counter apart), plus `offset`."""
    numbers = np.arange(10, dtype=np.float32) + np.float32(offset)
    conv, mean, scale, bias = np.split(numbers, [4, 7, 8])
    return [conv.reshape(2, 1, 2), mean, np.array(count), scale.reshape(()), bias]


def test_sizes():
    assert [tensor.size for tensor in LAYOUT.tensors] == [4, 3, 1, 1, 2]
    assert LAYOUT.num_params == 7
    assert LAYOUT.as_counted("as_parameters").num_params == 11
    assert LAYOUT.as_counted("average") is LAYOUT


def vector(layout, arrays):
    """Return the update from zeros, which holds the parameters themselves."""
    out = np.full(layout.num_params, np.nan, dtype=np.float32)
    layout.write_update(arrays, [np.zeros_like(array) for array in arrays], out)
    return out


def test_an_update_holds_parameters_in_order():
    np.testing.assert_array_equal(vector(LAYOUT, state()), [0, 1, 2, 3, 7, 8, 9])


def test_an_update_with_buffers_holds_everything_in_order():
    layout = LAYOUT.as_counted("as_parameters")
    np.testing.assert_array_equal(vector(layout, state(count=50)), [0, 1, 2, 3, 4, 5, 6, 50, 7, 8, 9])


def test_an_update_is_local_minus_global():
    out = np.empty(7, dtype=np.float32)
    LAYOUT.write_update(state(2.5, count=7), state(0.5), out)
    np.testing.assert_array_equal(out, [2] * 7)


def test_counters_that_count_as_parameters_are_subtracted_as_float32():
    layout = Layout((TensorSpec("count", (2,), "int64", True),))
    out = np.empty(2, dtype=np.float32)
    layout.write_update([np.array([2**24 + 1, 5])], [np.array([2**24, 7])], out)
    np.testing.assert_array_equal(out, [0, -2])  # float32 holds no 2**24 + 1


def test_a_refused_state_leaves_the_row_untouched():
    out = np.full(7, 3, dtype=np.float32)
    with pytest.raises(ReplyError, match="bias holds NaN"):
        LAYOUT.write_update(with_tensor(4, np.array([0, np.nan], np.float32)), state(), out)
    np.testing.assert_array_equal(out, [3] * 7)


def test_buffers_are_what_is_no_parameter():
    mean, count = LAYOUT.buffers(state(count=4))
    np.testing.assert_array_equal(mean, [4, 5, 6])
    assert count == 4
    LAYOUT.check_buffers([mean, count])
    with pytest.raises(ReplyError, match="1 tensors instead of 2"):
        LAYOUT.check_buffers([mean])
    with pytest.raises(ReplyError, match="mean holds NaN"):
        LAYOUT.check_buffers([mean * np.float32(np.nan), count])


def test_moved_adds_to_parameters_and_takes_buffers_as_given():
    arrays = state()
    movement = np.array([10, 20, 30, 40, 50, 60, 70], dtype=np.float32)
    buffers = [np.array([-1, -2, -3], dtype=np.float32), np.array(9)]
    conv, mean, count, scale, bias = LAYOUT.moved(arrays, movement, buffers)
    np.testing.assert_array_equal(conv, [[[10, 21]], [[32, 43]]])
    np.testing.assert_array_equal(mean, [-1, -2, -3])
    assert count == 9
    np.testing.assert_array_equal(scale, 57)
    np.testing.assert_array_equal(bias, [68, 79])
    np.testing.assert_array_equal(arrays[0].ravel(), [0, 1, 2, 3])


def test_what_moves_is_a_state_again():
    moved = LAYOUT.moved(state(), np.ones(7, dtype=np.float32), state()[1:3])
    LAYOUT.check(moved)
    assert all(type(array) is np.ndarray for array in moved)


numbers = st.floats(-1e6, 1e6, width=32)


@given(hnp.arrays(np.float32, 7, elements=numbers), hnp.arrays(np.float32, 3, elements=numbers))
def test_moving_nothing_to_a_vector_and_back_changes_nothing(parameters, mean):
    zeros = [np.zeros_like(array) for array in state()]
    arrays = LAYOUT.moved(zeros, parameters, [mean, np.array(3)])
    np.testing.assert_array_equal(vector(LAYOUT, arrays), parameters)
    np.testing.assert_array_equal(arrays[1], mean)


@pytest.mark.parametrize(
    ("movement", "count"), [(2.999, 13), (3.0, 13), (3.4, 13), (3.6, 14), (-2.999, 7), (0.1, 10)]
)
def test_counters_that_count_as_parameters_are_rounded_and_not_cut_off(movement, count):
    layout = LAYOUT.as_counted("as_parameters")
    moved = layout.moved(state(count=10), np.full(11, movement, dtype=np.float32), [])
    assert (moved[2], moved[2].dtype, moved[2].shape) == (count, np.int64, ())
    np.testing.assert_allclose(moved[1], np.float32([4, 5, 6]) + np.float32(movement))


def test_buffers_are_merged_one_by_one():
    buffers = [LAYOUT.buffers(state(offset, count=count)) for offset, count in ((0, 10), (4, 11), (100, 15))]
    seen = []

    def weighted(values):
        seen.append(values.tolist())
        return np.array([0.75, 0.25, 0]) @ values

    mean, count = LAYOUT.merged_buffers(buffers, weighted)
    assert seen == [[[4, 5, 6], [8, 9, 10], [104, 105, 106]], [[10], [11], [15]]]
    np.testing.assert_array_equal(mean, [5, 6, 7])
    assert (mean.dtype, mean.shape) == (np.float32, (3,))
    assert (count, count.dtype, count.shape) == (10, np.int64, ())  # 10.25
    assert type(count) is np.ndarray


@pytest.mark.parametrize(
    ("dtype", "merged", "kept"),
    [("int64", 7.6, 8), ("uint8", 6.5, 6), ("bool", 0.4, False), ("bool", 0.6, True)],
)
def test_what_is_whole_is_rounded_and_not_cut_off(dtype, merged, kept):
    layout = Layout((TensorSpec("whole", (), dtype, False),))
    (found,) = layout.merged_buffers([[np.zeros((), dtype)]], lambda values: np.full(1, merged))
    assert (found, found.dtype) == (kept, np.dtype(dtype))


def test_a_model_without_buffers_has_none_to_merge():
    layout = LAYOUT.as_counted("as_parameters")
    assert layout.merged_buffers([[], []], lambda values: values[0]) == []


NORM = Layout(
    (
        TensorSpec("norm.weight", (2,), "float32", True),
        TensorSpec("norm.running_mean", (2,), "float32", False),
        TensorSpec("norm.running_var", (2,), "float32", False),
        TensorSpec("norm.num_batches_tracked", (), "int64", False),
    )
)


def statistics(mean=(0, 0), variance=(1, 1), count=7):
    return [np.array(mean, np.float32), np.array(variance, np.float32), np.array(count)]


SENT = [np.zeros(2, np.float32), *statistics()]


@pytest.mark.parametrize(
    "buffers", [statistics(), statistics(mean=(-3, 9)), statistics(variance=(0, 1e6)), statistics(count=900)]
)
def test_statistics_that_training_may_bring_are_accepted(buffers):
    NORM.check_statistics(buffers, SENT)


@pytest.mark.parametrize(
    ("buffers", "reason"),
    [
        (statistics(variance=(1, -1e-9)), "norm.running_var holds a negative variance"),
        (statistics(count=6), "norm.num_batches_tracked is negative, or less than it was sent as"),
        (statistics(count=-1), "norm.num_batches_tracked is negative, or less than it was sent as"),
    ],
)
def test_statistics_that_no_training_brings_are_refused(buffers, reason):
    with pytest.raises(ReplyError) as caught:
        NORM.check_statistics(buffers, SENT)
    assert str(caught.value) == reason


def test_a_counter_is_not_negative_whatever_was_sent():
    with pytest.raises(ReplyError, match="is negative"):
        NORM.check_statistics(statistics(count=-1), [SENT[0], *statistics(count=-5)])


def test_statistics_that_count_as_parameters_are_not_looked_at():
    NORM.as_counted("as_parameters").check_statistics([], SENT)


def with_tensor(place, array):
    arrays = state()
    arrays[place] = array
    return arrays


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        (state()[:4], "4 tensors instead of 5"),
        ([*state(), np.zeros(1)], "6 tensors instead of 5"),
        (with_tensor(0, np.zeros((1, 2, 2), np.float32)), "conv has shape (1, 2, 2), not (2, 1, 2)"),
        (with_tensor(3, np.zeros(1, np.float32)), "scale has shape (1,), not ()"),
        (with_tensor(2, np.array(1.0)), "count has dtype float64, not int64"),
        (with_tensor(2, np.array(1, np.int32)), "count has dtype int32, not int64"),
        (with_tensor(4, np.array([0, np.nan], np.float32)), "bias holds NaN, Inf or numbers beyond 1e+30"),
        (with_tensor(1, np.array([0, np.inf, 0], np.float32)), "mean holds NaN, Inf or numbers beyond 1e+30"),
        (with_tensor(3, np.array(-np.inf, np.float32)), "scale holds NaN, Inf or numbers beyond 1e+30"),
        (with_tensor(3, np.array(-2e30, np.float32)), "scale holds NaN, Inf or numbers beyond 1e+30"),
        (with_tensor(2, np.array(-(2**63))), "count holds NaN, Inf or numbers beyond 9e+15"),
        (with_tensor(2, np.array(2**53 + 1)), "count holds NaN, Inf or numbers beyond 9e+15"),
    ],
)
def test_what_is_no_state_of_the_model_is_refused(arrays, reason):
    with pytest.raises(ReplyError) as caught:
        LAYOUT.check(arrays)
    assert str(caught.value) == reason


def test_states_of_the_model_are_accepted():
    LAYOUT.check(state())
    LAYOUT.check(with_tensor(3, np.array(LARGEST * 0.999, np.float32)))
    LAYOUT.check(with_tensor(2, np.array(-LARGEST_COUNT)))
    Layout((TensorSpec("nothing", (0, 3), "float32", True),)).check([np.zeros((0, 3), np.float32)])


def test_largest_states_overflow_nowhere():
    layout = Layout((TensorSpec("weight", (2,), "float32", True),))
    extreme = [np.array([LARGEST, -LARGEST], np.float32) * np.float32(0.999)]
    update = np.empty(2, dtype=np.float32)
    layout.write_update(extreme, [-extreme[0]], update)
    assert np.isfinite(layout.moved(extreme, update, [])[0]).all()
