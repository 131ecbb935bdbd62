import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fl_backdoor.core.layout import Layout, TensorSpec
from strategies.persistent_direction.neurons import into_neurons, neurons_of

LAYOUT = Layout(
    (
        TensorSpec("convolution", (2, 1, 1, 2), "float32", True),
        TensorSpec("bias", (2,), "float32", True),
        TensorSpec("mean", (2, 2), "float32", False),
        TensorSpec("matrix", (1, 3), "float32", True),
    )
)


def test_what_goes_into_each_neuron_is_added_up():
    updates = np.array([[1, 2, 3, 4, 100, 100, 5, 6, 7], [0, 0, 0, -1, 9, 9, -5, 0, 1]], np.float32)
    sums = into_neurons(LAYOUT, updates)
    np.testing.assert_array_equal(sums, [[3, 7, 18], [0, -1, -4]])
    assert sums.dtype == np.float32
    assert neurons_of(LAYOUT).num_params == 3
    assert [tensor.shape for tensor in neurons_of(LAYOUT).tensors] == [(2,), (1,)]


def test_a_model_without_weights_has_no_neurons():
    layout = Layout((TensorSpec("scale", (4,), "float32", True),))
    assert into_neurons(layout, np.ones((3, 4), np.float32)).shape == (3, 0)
    assert neurons_of(layout).num_params == 0


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_parts_of_a_gradient_push_its_neurons_the_same_way(seed, num_parts):
    # Errors times inputs that are not negative, the weights dealt out into parts.
    random = np.random.default_rng(seed)
    gradient = np.outer(random.standard_normal(6), random.exponential(size=40))
    parts = random.integers(num_parts, size=gradient.shape)
    layout = Layout((TensorSpec("matrix", gradient.shape, "float32", True),))
    shared = np.stack([np.where(parts == part, gradient, 0).ravel() for part in range(num_parts)])
    sums = into_neurons(layout, shared.astype(np.float32))
    # 1e-6: 40 numbers of float32 are added up in another order.
    np.testing.assert_allclose(sums.sum(axis=0), gradient.sum(axis=1), rtol=1e-5, atol=1e-6)
    assert ((sums == 0) | (np.sign(sums) == np.sign(gradient[:, 0]))).all()
