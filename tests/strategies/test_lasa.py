"""LASA against figures worked out by hand."""

import numpy as np
import pytest

from fl_backdoor.core.layout import Layout, TensorSpec
from strategies.numerics.largest import magnitude_bounds
from strategies.rules.lasa import LASA, layer_figures

TWO_LAYERS = Layout(
    (TensorSpec("first", (2, 2), "float32", True), TensorSpec("second", (2,), "float32", True))
)


def test_bounds_by_hand():
    rows = np.float32([[1, -5, 2, 0], [3, 3, -3, 1], [0, 0, 0, 0]])
    np.testing.assert_array_equal(magnitude_bounds(rows, 2), [2, 3, 0])
    np.testing.assert_array_equal(magnitude_bounds(rows, 4), [0, 1, 0])


def test_figures_of_a_layer_by_hand():
    # What is left: 3 -4 0; 0 0 0; 6 8 0, times .5.
    layer = np.float32([[3, -4, 1], [0, 0, 0], [6, 8, 0.5]])
    norms, purity = layer_figures(layer, np.float32([2, 1, 1]), np.array([1, 1, 0.5]), 0.2)
    np.testing.assert_allclose(norms, [5, 0, 5])
    # Balances 0, none, 1: (1 + balance · .8) / 2.
    np.testing.assert_allclose(purity, [0.5, 0.5, 0.9])


def test_a_client_may_pass_for_one_layer_alone(make_federation, make_clients):
    # The last is three times as long in the first layer, and like the others in the second.
    rows = np.array([[1.0, 1, 1, 1, 4, 4]] * 4 + [[3.0, 3, 3, 3, 4, 4]])
    rule = make_federation(5).knowing(layout=TWO_LAYERS).build(LASA, sparsity=0.01)
    result = rule.aggregate(make_clients(rows))
    # Norms 6 and √68: the last is clipped by 6 / √68.
    clipped = 6 / 68**0.5
    np.testing.assert_allclose(result.update[:4], 1, rtol=1e-6)
    # In the second its clipped length is unlike the others' as well, by that factor: left out there too.
    np.testing.assert_allclose(result.update[4:], 4, rtol=1e-6)
    np.testing.assert_array_equal(result.filtered, [False] * 4 + [True])
    lenient = make_federation(5).knowing(layout=TWO_LAYERS).build(LASA, sparsity=0.01, norm_bound=2.51)
    # One of five is 2.5 standard deviations away.
    np.testing.assert_allclose(
        lenient.aggregate(make_clients(rows)).update[4:], 4 * (4 + clipped) / 5, rtol=1e-6
    )


@pytest.mark.parametrize("turned", [0, 1])
def test_turned_signs_are_left_out_in_their_layer(make_federation, make_clients, turned):
    rows = np.array([[1.0, 1, 1, 1, 2, 2]] * 5)
    columns = slice(0, 4) if turned == 0 else slice(4, 6)
    rows[4, columns] *= -1
    result = (
        make_federation(5).knowing(layout=TWO_LAYERS).build(LASA, sparsity=0.01).aggregate(make_clients(rows))
    )
    np.testing.assert_allclose(result.update, rows[0], rtol=1e-6)
    assert not result.filtered.any(), "it counts for the other layer"
    assert np.isnan(result.weights).all()


def test_where_nobody_passes_all_do(make_federation, make_clients):
    # Of two each is one standard deviation away from the median.
    rows = np.array([[1.0, 1, 1, 1, 1, 1], [1.1, 1.1, 1.1, 1.1, 1.1, 1.2]])
    result = make_federation(2).knowing(layout=TWO_LAYERS).build(LASA).aggregate(make_clients(rows))
    assert not result.filtered.any()
