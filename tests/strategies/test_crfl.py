"""CRFL: what becomes of the model, and who votes in its place."""

import numpy as np
import pytest

from fl_backdoor.core.seeding import Purpose, generator
from strategies.base import alone
from strategies.chain.chain import Chain
from strategies.rules.fedavg import FedAvg
from strategies.steps.crfl import CRFL
from strategies.steps.fed_avgm import FedAvgM

# ‖(3, 4, 0, 0, 12)‖ = 13.
MODEL = (3, 4, 0, 0, 12)


def noise(server_round, number, occurrence=0):
    random = generator(7, Purpose.SMOOTHING, server_round, occurrence, number)
    return random.standard_normal(5, dtype=np.float32)


def parameters(model):
    return np.concatenate([model[0].ravel(), model[3]])


@pytest.fixture
def finished(make_federation, make_clients, make_state):
    """Return the step after a round, and its model."""

    def after(server_round=1, step=None, **settings):
        step = step or make_federation().knowing(last_round=5).build(CRFL, **settings)
        # The update, of length 1, is no longer than any bound here.
        clients = make_clients([[1.0, 0, 0, 0, 0]], server_round=server_round)
        model = make_state(MODEL, mean=(6, 7), count=8)
        return step, step.finish(model, clients, step.aggregate(clients))

    return after


@pytest.mark.parametrize(
    ("settings", "server_round", "factor"),
    [
        ({"bound": 6.5}, 1, 0.5),
        ({"bound": 13.1}, 1, 1),
        ({"bound": 2, "bound_growth": 0.1}, 1, 2.1 / 13),
        ({"bound": 2, "bound_growth": 0.1}, 4, 2.4 / 13),
    ],
)
def test_the_model_and_not_the_update_is_clipped(finished, settings, server_round, factor):
    _, model = finished(server_round, noise_std=0, **settings)
    np.testing.assert_allclose(parameters(model), np.multiply(factor, MODEL), rtol=1e-6)
    np.testing.assert_array_equal(model[1], [6, 7])
    assert model[2] == 8


def test_noise_is_added_to_what_was_clipped_but_in_the_last_round(finished):
    halved = np.multiply(0.5, MODEL)
    for server_round in (1, 4):
        _, model = finished(server_round, bound=6.5, noise_std=0.25)
        np.testing.assert_allclose(parameters(model), halved + noise(server_round, 0) / 4, rtol=1e-6)
    _, model = finished(5, bound=6.5, noise_std=0.25)
    np.testing.assert_array_equal(parameters(model), halved)


@pytest.mark.parametrize("server_round", [1, 5])
def test_each_vote_is_that_of_the_clipped_model_with_noise_of_its_own(finished, server_round):
    step, model = finished(server_round, bound=6.5, noise_std=0.25, num_votes=3)
    voters = step.voters()
    finished(2, step)  # the next round, which is under way when the votes are counted
    copies = list(voters(model))
    assert len(copies) == 3
    drawn_in = 0 if server_round == 5 else server_round
    for number, copy in enumerate(copies, 1):
        expected = np.multiply(0.5, MODEL) + noise(drawn_in, number) / 4
        np.testing.assert_allclose(parameters(copy), expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(copy[1], [6, 7])


def test_after_a_restart_the_same_copies_vote(finished, make_federation):
    step, model = finished(3, num_votes=2)
    resumed = make_federation().build(CRFL, num_votes=2)
    resumed.restore(3, step.state())
    for mine, theirs in zip(step.voters()(model), resumed.voters()(model), strict=True):
        np.testing.assert_array_equal(parameters(mine), parameters(theirs))


def test_in_a_chain_the_step_that_has_voters_is_asked(finished, make_federation, make_state):
    federation = make_federation()
    model = make_state(MODEL)
    assert [voter is model for voter in federation.build(FedAvg).voters()(model)] == [True]
    plain = federation.build(Chain, steps=[FedAvg(), FedAvgM()]).voters()
    assert [voter is model for voter in plain(model)] == [True]
    voting = federation.build(Chain, steps=[FedAvg(), CRFL(num_votes=3), FedAvgM()]).voters()
    alone_voting = federation.build(CRFL, num_votes=3).voters()
    for mine, theirs in zip(voting(model), alone_voting(model), strict=True):
        np.testing.assert_array_equal(parameters(mine), parameters(theirs))
    assert [voter is model for voter in alone(model)] == [True]
