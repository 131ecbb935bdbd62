"""FLDetector: L-BFGS against the definition, detection on clients that follow from a quadratic loss."""

from dataclasses import replace

import numpy as np
import pytest

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.layout import Layout, TensorSpec
from strategies.numerics.lbfgs import hessian_product
from strategies.rules.fldetector import FLDetector

NUM_PARAMS = 6
LAYOUT = Layout((TensorSpec("weight", (NUM_PARAMS,), "float32", True),))


def bfgs(steps, changes):
    """Return B by the recursion of BFGS, from σI on; see Nocedal and Wright, equation 6.19."""
    scale = steps[-1] @ changes[-1] / (steps[-1] @ steps[-1])
    matrix = scale * np.eye(len(steps[0]))
    for s, y in zip(steps, changes, strict=True):
        along = matrix @ s
        matrix = matrix - np.outer(along, along) / (s @ along) + np.outer(y, y) / (y @ s)
    return matrix


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_compact_form_is_the_recursion(count):
    random = np.random.default_rng(1)
    root = random.standard_normal((NUM_PARAMS, NUM_PARAMS))
    hessian = root @ root.T + np.eye(NUM_PARAMS)
    steps = random.standard_normal((count, NUM_PARAMS)).astype(np.float32)
    changes = (steps @ hessian).astype(np.float32)
    direction = random.standard_normal(NUM_PARAMS).astype(np.float32)
    expected = bfgs(steps.astype(np.float64), changes.astype(np.float64)) @ direction
    np.testing.assert_allclose(hessian_product(steps, changes, direction), expected, rtol=1e-4, atol=1e-4)


def test_a_model_that_has_not_moved_says_nothing():
    zeros, ones = np.zeros((2, 3), np.float32), np.ones(3, np.float32)
    np.testing.assert_array_equal(hessian_product(zeros, zeros, ones), 0)
    np.testing.assert_array_equal(hessian_product(np.ones((2, 3), np.float32), zeros, ones), 0)


def test_what_overflows_is_cut_off():
    # σ is 1e28 and the direction 1e25 long: the product would be 1e53.
    step, change = np.float32([[1e-4, 0, 0]]), np.float32([[1e24, 0, 0]])
    found = hessian_product(step, change, np.float32([1e25, -1e25, 0]))
    np.testing.assert_array_equal(found, np.float32([1e30, -1e30, 0]))


class Quadratic:
    """Ten clients with quadratic losses; the last three send something else in each round."""

    def __init__(self, make_federation, make_clients, **settings):
        self.make_clients = make_clients
        self.federation = make_federation(10).knowing(layout=LAYOUT)
        self.settings = settings
        self.rule = self.federation.build(FLDetector, **settings)
        random = np.random.default_rng(2)
        self.minima = 0.3 * random.standard_normal((10, NUM_PARAMS))
        self.model = random.standard_normal(NUM_PARAMS)
        self.noise = np.random.default_rng(3)

    def round(self, server_round, attacked=True):
        updates = 0.05 * (self.minima - self.model)
        if attacked:
            updates[7:] = 0.3 * self.noise.standard_normal((3, NUM_PARAMS))
        clients = self.make_clients(updates, server_round=server_round)
        result = self.rule.aggregate(replace(clients, model=[self.model.astype(np.float32)]))
        self.model = self.model + result.update
        return result


def test_whoever_does_not_follow_from_its_last_update_is_found(make_federation, make_clients):
    run = Quadratic(make_federation, make_clients, window=4)
    flags = [run.round(number).flagged for number in range(1, 9)]
    # Two rounds without a Hessian, four with scores: judged in the sixth.
    assert not np.any(flags[:5])
    np.testing.assert_array_equal(flags[5], [False] * 7 + [True] * 3)
    np.testing.assert_array_equal(flags[7], flags[5])


def test_without_an_attack_nobody_is_found(make_federation, make_clients):
    run = Quadratic(make_federation, make_clients, window=4)
    random = np.random.default_rng(7)
    for number in range(1, 9):
        run.minima = run.minima + 0.2 * random.standard_normal(run.minima.shape)
        assert not run.round(number, attacked=False).flagged.any()


def test_what_is_remembered_survives(make_federation, make_clients):
    whole = Quadratic(make_federation, make_clients, window=3)
    for number in range(1, 5):
        whole.round(number)
    resumed = whole.federation.build(FLDetector, window=3)
    resumed.restore(4, {name: np.array(array) for name, array in whole.rule.state().items()})
    state, noise = whole.model.copy(), whole.noise.bit_generator.state
    expected = [whole.round(number) for number in (5, 6)]
    whole.rule, whole.model = resumed, state
    whole.noise.bit_generator.state = noise
    for result, number in zip(expected, (5, 6), strict=True):
        again = whole.round(number)
        np.testing.assert_array_equal(again.flagged, result.flagged)
        np.testing.assert_array_equal(again.update, result.update)
    assert expected[0].flagged[7:].all()


def test_who_takes_part_now_and_then_cannot_be_foretold(make_federation):
    with pytest.raises(ConfigError, match="clients_per_round = 4: FLDetector needs all 10 clients in each"):
        make_federation(10, 4).build(FLDetector)
