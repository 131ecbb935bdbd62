"""DeepSight against figures worked out by hand, and on a small network."""

import math
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from torch import nn

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.layout import Layout, TensorSpec
from strategies.rules.deepsight import (
    DeepSight,
    accepted,
    apart,
    division_difference,
    output_layer,
    threshold_exceedings,
    update_energies,
)
from strategies.torch_workbench import TorchWorkbench
from tests.strategies.toy_workbench import ToyWorkbench, with_output_layer


def test_energies_and_exceedings_by_hand():
    # |Δb| + Σ|Δw|: 2 3 1, squares 4 9 1; the second client's output layer stands still.
    weight = np.array([[[1, -1], [0, 2], [0, 0]], np.zeros((3, 2))], np.float32)
    bias = np.array([[0, 1, -1], [0, 0, 0]], np.float32)
    energies = update_energies(weight, bias)
    np.testing.assert_allclose(energies, [[4 / 14, 9 / 14, 1 / 14], [1 / 3] * 3], rtol=1e-12)
    # A third of the largest is 3 / 14.
    np.testing.assert_array_equal(threshold_exceedings(energies), [2, 3])


def test_of_many_classes_a_hundredth_of_the_largest_is_the_threshold():
    energies = np.full((1, 1000), 0.009)
    energies[0, :2] = [1, 0.011]
    np.testing.assert_array_equal(threshold_exceedings(energies), [2])


def test_division_differences_are_ratios_of_softmax_scores():
    # Scores .25 .75 and .5 .5 over .5 .5 and .25 .75: ratios .5 2 and 1.5 2/3. Logits would give 0 / 0.
    local, reference = np.array([[0, math.log(3)], [0, 0]]), np.array([[0, 0], [0, math.log(3)]])
    np.testing.assert_allclose(division_difference(local, reference), [1.25, 13 / 12], rtol=1e-12)
    np.testing.assert_allclose(division_difference(local, local), [1, 1])
    huge = division_difference(np.array([[np.inf, -np.inf], [np.nan, 3e38]]), reference)
    assert np.isfinite(huge).all()


def test_who_is_in_no_group_is_apart_from_everybody():
    expected = 1 - np.eye(5)
    expected[0, 1] = expected[1, 0] = 0
    np.testing.assert_array_equal(apart(np.array([0, 0, -1, -1, 1])), expected)


def test_a_cluster_is_left_out_from_a_third_of_suspicious_clients_on():
    clusters = np.array([0, 0, 0, 1, 1, 1, 1, -1, -1])
    suspicious = np.array([1, 0, 0, 1, 0, 0, 0, 1, 0], np.bool_)
    # One of three, one of four, and two that are clusters of their own; a known copy keeps the first.
    keep = accepted(clusters, suspicious, 1 / 3)
    np.testing.assert_array_equal(keep, [0, 0, 0, 1, 1, 1, 1, 0, 1])


def layout_of(**shapes):
    return Layout(tuple(TensorSpec(name, shape, "float32", True) for name, shape in shapes.items()))


def test_the_output_layer_is_the_last_matrix_of_all_classes_and_its_bias():
    layout = layout_of(first=(10, 4), at=(10,), last=(10, 10), bias=(10,), scale=(3,))
    assert output_layer(layout, 10) == ("last", "bias")
    with_statistics = Layout((*layout.tensors, TensorSpec("running_mean", (10,), "float32", False)))
    assert output_layer(with_statistics, 10) == ("last", "bias")


@pytest.mark.parametrize(
    "shapes",
    [
        {"last": (10, 4)},
        {"last": (10, 4), "bias": (4,)},
        {"last": (5, 4), "bias": (5,)},
        {"conv": (10, 4, 1, 1), "bias": (10,)},
    ],
)
def test_a_model_without_one_is_refused_in_one_line(make_federation, shapes):
    server = make_federation(4).knowing(layout=layout_of(**shapes), workbench=ToyWorkbench(num_classes=10))
    lacking = r"^model = .*: DeepSight needs a linear output layer of 10 classes with a bias$"
    with pytest.raises(ConfigError, match=lacking):
        server.build(DeepSight)


def test_tokens_are_refused(make_federation):
    tokens = ToyWorkbench(input_shape=(64,))
    server = make_federation(4).knowing(workbench=tokens, layout=with_output_layer(9))
    with pytest.raises(ConfigError, match=r"^strategy = .*DeepSight.*: draws random images"):
        server.build(DeepSight)


NUM_CLASSES, WIDTH = 6, 3
LAYOUT = layout_of(hidden=(WIDTH, 4), hidden_bias=(WIDTH,), weight=(NUM_CLASSES, WIDTH), bias=(NUM_CLASSES,))


@dataclass(frozen=True)
class Watched(TorchWorkbench):
    """A network whose random inputs are kept."""

    inputs: list = field(default_factory=list)

    def scores(self, model, inputs):
        self.inputs.append(inputs)
        return super().scores(model, inputs)


def network():
    return nn.Sequential(nn.Flatten(), nn.Linear(4, WIDTH), nn.Tanh(), nn.Linear(WIDTH, NUM_CLASSES))


def updates(num_benign=6, num_malicious=2):
    """Return updates of clients with all classes, and longer ones of those with a single one."""
    random = np.random.default_rng(3)
    common = random.choice([-1, 1], LAYOUT.num_params)
    rows = common + 0.1 * random.standard_normal((num_benign + num_malicious, LAYOUT.num_params))
    for tensor, part in LAYOUT.parts(rows[num_benign:]):
        if tensor.shape[0] == NUM_CLASSES:
            part[:, 1:] *= 0.01
    rows[num_benign:] *= 3
    return rows.astype(np.float32)


@pytest.fixture
def judged(make_federation, make_clients):
    def of(rows, server_round=1, **settings):
        workbench = Watched(network, (1, 2, 2), NUM_CLASSES)
        server = make_federation(len(rows)).knowing(layout=LAYOUT, workbench=workbench)
        vector = np.random.default_rng(4).standard_normal(LAYOUT.num_params).astype(np.float32)
        model = [part for _, part in LAYOUT.parts(vector)]
        clients = replace(make_clients(rows, server_round=server_round), model=model)
        return server.build(DeepSight, num_samples=20, **settings).aggregate(clients), workbench

    return of


def test_who_has_trained_on_one_class_is_left_out_and_the_rest_is_clipped(judged):
    rows = updates()
    result, _ = judged(rows)
    np.testing.assert_array_equal(result.flagged, [False] * 6 + [True] * 2)
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
    coefficients = np.minimum(1, np.median(lengths) / lengths)
    np.testing.assert_allclose(result.clip_coefficients, coefficients, rtol=1e-6)
    expected = (rows * coefficients[:, None])[:6].mean(axis=0)
    np.testing.assert_allclose(result.update, expected, rtol=1e-5)


def test_without_an_attacker_nobody_is_left_out(judged):
    result, _ = judged(updates(num_malicious=0))
    assert not result.flagged.any()


def test_inputs_are_drawn_from_zero_to_one_anew_for_each_set_and_round(judged):
    rows = updates()
    first, again, later = (judged(rows, number, num_sets=2)[1].inputs for number in (1, 1, 2))
    # The global model and eight clients see each of two sets.
    assert len(first) == 18 and first[0].shape == (20, 1, 2, 2)
    assert all(np.array_equal(*pair) for pair in zip(first, again, strict=True))
    different = [first[0], first[9], later[0], later[9]]
    assert len({inputs.tobytes() for inputs in different}) == 4
    lowest, highest = np.min(different), np.max(different)
    assert (0 <= lowest < 0.2, 0.8 < highest <= 1) == (True, True)
