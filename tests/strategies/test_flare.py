"""FLARE against figures worked out by hand, its discrepancies beside scikit-learn's kernel."""

import math
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from sklearn.metrics.pairwise import rbf_kernel

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.layout import Layout, TensorSpec
from strategies.rules.flare import FLARE, discrepancies, votes
from tests.strategies.toy_workbench import ToyWorkbench, root_data

LAYOUT = Layout((TensorSpec("weight", (1,), "float32", True), TensorSpec("mean", (1,), "float32", False)))

# On a line, each with two votes: 0 for 1 2, 1 for 0 2, 2 for 0 1, 3 for 1 2, 4 for 2 3.
PLACES = [0.0, 0.1, 0.3, 0.7, 2.0]
VOTES = [2, 3, 4, 1, 0]


@dataclass(frozen=True)
class Shown(ToyWorkbench):
    """All samples have one feature, the model's parameter."""

    models: list = field(default_factory=list)

    def features(self, model, inputs):
        self.models.append(model)
        return np.full((len(inputs), 1), model[0], np.float32)


def test_discrepancies_by_hand():
    # One feature, so that k = exp(-d²): 1 where samples are equal, 1 / e between 0 and 1.
    features = np.array([[0, 0], [1, 1], [0, 1], [0, 1]], np.float32)[:, :, None]
    found = discrepancies(features)
    e = math.e
    np.testing.assert_allclose(found[0], [0, 2 - 2 / e, 0, 0], atol=1e-12)
    # Equal samples: 2 / e - 2 · (2 + 2 / e) / 4.
    np.testing.assert_allclose(found[2, 3], 1 / e - 1, atol=1e-12)


def test_the_kernel_is_as_wide_as_there_are_features_unless_told():
    features = np.zeros((2, 2, 4), np.float32)
    features[1, :, 0] = 2
    # ‖x - y‖² = 4: exp(-4 / 4), and with σ = 1, as in a known copy, exp(-4 / 2).
    assert discrepancies(features)[0, 1] == pytest.approx(2 - 2 * math.exp(-1))
    assert discrepancies(features, 1.0)[0, 1] == pytest.approx(2 - 2 * math.exp(-2))


def test_discrepancies_are_those_of_scikit_learns_kernel():
    features = np.random.default_rng(1).standard_normal((6, 5, 7)) + np.arange(6)[:, None, None] / 5
    found = discrepancies(features)
    for i in range(6):
        for j in range(i):
            xx, yy, xy = (rbf_kernel(features[a], features[b]) for a, b in ((i, i), (j, j), (i, j)))
            expected = sum((k.sum() - k.trace()) / 20 for k in (xx, yy)) - 2 * xy.mean()
            assert found[i, j] == found[j, i] == pytest.approx(expected, abs=1e-11)


def test_infinite_features_are_far_from_all_others():
    found = discrepancies(np.array([[[0.0], [0.0]], [[np.inf], [np.nan]], [[0.1], [0.1]]]))
    assert np.isfinite(found).all()
    assert found[0, 2] < found[0, 1]


def test_each_client_votes_for_those_nearest_to_it():
    places = np.array(PLACES)
    np.testing.assert_array_equal(votes(np.abs(places[:, None] - places), 2), VOTES)


def test_who_is_equally_near_shares_what_votes_are_left():
    np.testing.assert_allclose(votes(np.zeros((4, 4)), 1), [1, 1, 1, 1])
    # 0 and 1 give one vote to each other, and halves of another to 2 and 3.
    distances = np.array([[0, 1, 2, 2], [1, 0, 9, 9], [2, 9, 0, 5], [2, 9, 5, 0.0]])
    np.testing.assert_allclose(votes(distances, 2), [3, 1, 2, 2])


@pytest.fixture
def weighed(make_federation, make_clients):
    def of(places, workbench, **settings):
        server = make_federation(len(places)).knowing(workbench=workbench, layout=LAYOUT)
        clients = make_clients(np.array(places)[:, None])
        model = [np.zeros(1, np.float32), np.full(1, 5, np.float32)]
        return server.build(FLARE, **settings).aggregate(replace(clients, model=model))

    return of


@pytest.mark.parametrize(("temperature", "slope"), [(1.0, 1 / 2), (0.5, 1.0)])
def test_weights_are_the_softmax_of_votes_over_their_mean(weighed, temperature, slope):
    result = weighed(PLACES, Shown(), temperature=temperature)
    expected = np.exp(slope * np.array(VOTES))
    np.testing.assert_allclose(result.weights, expected / expected.sum(), rtol=1e-12)
    np.testing.assert_allclose(result.update, [result.weights @ PLACES], rtol=1e-6)
    assert not (result.filtered | result.flagged).any()


def test_two_clients_have_no_votes_and_count_the_same(weighed):
    np.testing.assert_array_equal(weighed([0.0, 9.0], Shown()).weights, [0.5, 0.5])


def test_models_have_the_clients_parameters_and_the_global_buffers(weighed):
    workbench = Shown()
    weighed(PLACES, workbench)
    assert [model[0].item() for model in workbench.models] == pytest.approx(PLACES)
    assert {model[1].item() for model in workbench.models} == {5}


def test_one_sample_has_no_pairs(make_federation):
    server = make_federation(3).knowing(workbench=ToyWorkbench(root=root_data(1)))
    with pytest.raises(ConfigError, match=r"^server\.root_samples = 1: must be at least 2 under FLARE$"):
        server.build(FLARE)
