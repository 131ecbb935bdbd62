import numpy as np

from fl_backdoor.attacks.model_poisoning.boost import boost
from fl_backdoor.core.layout import Layout, TensorSpec

LAYOUT = Layout(
    (
        TensorSpec("weight", (2,), "float32", True),
        TensorSpec("running_var", (1,), "float32", False),
        TensorSpec("num_batches_tracked", (), "int64", False),
    )
)
BEFORE = [np.array([1.0, 2.0], dtype=np.float32), np.array([1.0], dtype=np.float32), np.array(10)]
AFTER = [np.array([1.5, 1.0], dtype=np.float32), np.array([0.75], dtype=np.float32), np.array(12)]


def test_parameters_are_multiplied_and_what_is_counted_or_averaged_is_not():
    weight, variance, count = boost(LAYOUT, BEFORE, AFTER, 10)
    assert weight.tolist() == [6.0, -8.0]
    assert weight.dtype == np.float32
    assert variance.tolist() == [0.75]
    assert count == 12


def test_statistics_that_count_as_parameters_are_multiplied_and_counters_are_not():
    weight, variance, count = boost(LAYOUT.as_counted("as_parameters"), BEFORE, AFTER, 10)
    assert weight.tolist() == [6.0, -8.0]
    assert variance.tolist() == [-1.5]
    assert count == 12


def test_a_factor_of_one_changes_no_bit():
    before = [np.array([0.1], dtype=np.float32)]
    after = [np.array([1e8], dtype=np.float32)]
    layout = Layout((TensorSpec("weight", (1,), "float32", True),))
    assert boost(layout, before, after, 1)[0] is after[0]
