"""MARS against figures worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.layout import Layout, TensorSpec
from strategies.chain.chain import Chain
from strategies.numerics.neurons import Layer, layers_of, spectral_norms
from strategies.rules.mars import MARS, strongest, two_groups, wasserstein_distances
from strategies.steps.bucketing import Bucketing
from strategies.steps.norm_clipping import NormClipping


def spec(name, *shape, is_parameter=True):
    return TensorSpec(name, shape, "float32", is_parameter)


CONVOLUTION = Layout(
    (
        spec("conv.weight", 2, 2, 1, 2),
        spec("norm.weight", 2),
        spec("norm.bias", 2),
        spec("norm.running_mean", 2, is_parameter=False),
        spec("norm.running_var", 2, is_parameter=False),
        spec("fc.weight", 1, 2),
        spec("fc.bias", 1),
    )
)


def convolution(variance=(4.0, 9.0)):
    return [
        # AᵀA is ((25, 20), (20, 25)) with the eigenvalues 45 and 5; the squares' sum would be 50.
        np.float32([[[[3, 0]], [[4, 5]]], [[[0, 0]], [[0, 7]]]]),
        np.float32([-3, 1]),
        np.float32([8, 8]),
        np.float32([9, 9]),
        np.float32(variance) - np.float32(1e-5),
        np.float32([[3, 4]]),
        np.float32([9]),
    ]


def test_the_spectral_norm_is_that_of_each_channels_own_matrix():
    matrices = np.array([[[3.0, 0], [4, 5]], [[0, 0], [0, -7]]])
    np.testing.assert_allclose(spectral_norms(matrices), [45**0.5, 7], rtol=1e-14)
    for shape in [(5, 3, 9), (5, 9, 3), (5, 1, 9), (5, 9, 1), (2, 64, 9)]:
        drawn = np.random.default_rng(1).standard_normal(shape)
        np.testing.assert_allclose(spectral_norms(drawn), np.linalg.norm(drawn, 2, axis=(1, 2)), rtol=1e-13)
    np.testing.assert_allclose(spectral_norms(matrices * 1e30), [45**0.5 * 1e30, 7e30], rtol=1e-14)


def test_a_layer_is_scaled_by_the_batch_norm_behind_it():
    convolutional, linear = layers_of(CONVOLUTION)
    np.testing.assert_allclose(
        convolutional.amplifications(convolution()), [3 / 2 * 45**0.5, 1 / 3 * 7], rtol=1e-6
    )
    np.testing.assert_allclose(linear.amplifications(convolution()), [5], rtol=1e-12)


def test_layers_and_their_batch_norms():
    other = [spec("first.weight", 4, 3, 3, 3), spec("norm.running_var", 3, is_parameter=False)]
    assert layers_of(Layout(tuple(other))) == [Layer(0)], "before a layer of another width"
    plain = [spec("a.weight", 4, 3), spec("b.running_var", 4, is_parameter=False)]
    assert layers_of(Layout(tuple(plain))) == [Layer(0, 1)], "without a scale"
    twice = [*plain, spec("c.running_var", 4, is_parameter=False)]
    assert layers_of(Layout(tuple(twice))) == [Layer(0, 1)]


@pytest.mark.parametrize(("count", "kept"), [(64, 4), (512, 26), (21, 2), (10, 1), (1, 1)])
def test_so_many_of_a_layer_count(count, kept):
    energies = np.random.default_rng(2).permutation(count).astype(np.float64)
    found = np.sort(strongest(energies, 0.05))
    np.testing.assert_array_equal(found, np.arange(count - kept, count))
    assert len(found) == np.sum(energies >= np.quantile(energies, 0.95)), "as the authors' code"


def test_distances_of_the_papers_example():
    energies = np.sort(np.array([[1.0, 2, 3, 4, 5], [5, 5, 3, 2, 2], [1, 1, 1, 1, 1]]), axis=1)
    expected = [[0, 0.4, 2.0], [0.4, 0, 2.4], [2.0, 2.4, 0]]
    np.testing.assert_allclose(wasserstein_distances(energies), expected, rtol=1e-14)


def test_two_groups_and_how_far_they_are_apart():
    groups = two_groups(np.array([[1.0, 2], [5, 7], [1, 4], [5, 9]]), 0)
    np.testing.assert_array_equal(groups.weaker, [True, False, True, False])
    assert groups.distance == ((5 - 1) + (8 - 3)) / 2
    assert two_groups(np.ones((3, 2)), 0) is None


LINEAR = Layout((spec("weight", 2, 1),))


@pytest.fixture
def chosen(make_federation, make_clients):
    """Return whom MARS leaves out, of clients whose only two neurons have these weights."""

    def of(weights, **settings):
        rows = np.float32(weights) - 1
        rule = make_federation(len(rows)).knowing(layout=LINEAR).build(MARS, **settings)
        clients = replace(make_clients(rows), model=[np.ones((2, 1), np.float32)])
        return rule.aggregate(clients)

    return of


def test_the_stronger_group_is_left_out_even_if_it_is_the_larger(chosen):
    # Of two neurons the stronger counts: 1, 3, 3.1, -3, 1.1, 3.
    result = chosen([[1, 0], [3, 0], [0, 3.1], [-3, 0], [1, 1.1], [3, 3]])
    np.testing.assert_array_equal(result.flagged, [False, True, True, True, False, True])
    np.testing.assert_array_equal(result.filtered, result.flagged)
    np.testing.assert_allclose(result.update, [0, (-1 + 0.1) / 2], atol=1e-7)


def test_groups_that_are_near_are_both_kept(chosen):
    near = [[1, 0], [1, 0], [1.029, 0], [1.029, 0]]
    assert not chosen(near).flagged.any()
    np.testing.assert_array_equal(chosen(near, distance_bound=0.028).flagged, [False, False, True, True])
    np.testing.assert_array_equal(
        chosen([[1, 0], [1, 0], [1.031, 0], [1.031, 0]]).flagged, [False, False, True, True]
    )


def test_models_are_judged_and_not_updates(chosen):
    # The longest update makes the weakest model.
    np.testing.assert_array_equal(chosen([[0, 0], [1.5, 1], [1.5, 1]]).flagged, [False, True, True])


@pytest.fixture
def with_variances(make_clients):
    """Return clients that send the same parameters, and these variances."""

    def of(*variances):
        rows = np.zeros((len(variances), CONVOLUTION.num_params))
        buffers = [[np.float32([9, 9]), np.float32([variance, variance])] for variance in variances]
        return replace(make_clients(rows), model=convolution(), buffers=buffers)

    return of


def test_a_client_is_judged_with_its_own_variances(make_federation, with_variances):
    federation = make_federation(4).knowing(layout=CONVOLUTION)
    clients = with_variances(4.0, 4.0, 0.25, 4.0)
    expected = [False, False, True, False]
    np.testing.assert_array_equal(federation.build(MARS).aggregate(clients).flagged, expected)
    clipped = federation.build(Chain, steps=[NormClipping(), MARS()])
    np.testing.assert_array_equal(clipped.aggregate(clients).flagged, expected)


def test_rows_of_several_clients_are_judged_with_the_global_variances(make_federation, with_variances):
    chain = make_federation(4).knowing(layout=CONVOLUTION).build(Chain, steps=[Bucketing(), MARS()])
    assert not chain.aggregate(with_variances(4.0, 4.0, 0.25, 4.0)).flagged.any()


def test_buffers_of_a_round_are_those_of_its_clients(make_federation, exchange, make_state):
    sent = exchange(make_federation(4).build(MARS), make_state())
    sent.says(2, make_state(mean=(5, 6), count=3))
    sent.finish()
    found = sent.strategy.outcome.updates.buffers
    assert [buffers[0].tolist() for buffers in found] == [[0, 0], [0, 0], [5, 6], [0, 0]]


def test_a_model_without_layers_is_refused(make_federation):
    with pytest.raises(ConfigError, match="MARS judges the neurons of layers"):
        make_federation().knowing(layout=Layout((spec("bias", 3),))).build(MARS)
