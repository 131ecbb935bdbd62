"""Removal of backdoors: when it works, what it refuses, and that a planted backdoor goes."""

import copy
import logging
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from fl_backdoor.core import strategy_plugin
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.models.factory import layout_of, named_arrays, state_arrays
from fl_backdoor.runner.composition import composed
from strategies import CLP, IBAU, NAD, Chain, FedAvg, FinePruning, FineTuning, ServerContext
from strategies.chain.inner_courier import InnerCourier
from strategies.removal.training import accuracy, settings_of, train
from strategies.torch_workbench import TorchWorkbench, one_thread
from strategies.workbench import RootData
from tests.strategies.benches import IMAGE_SHAPE, NUM_CLASSES, small_bench, small_cnn, some_samples
from tests.strategies.flower_app import InProcess, run

TARGET = 0

ROOT = some_samples(200, seed=7)


def stamped(inputs):
    inputs = inputs.clone()
    inputs[:, :, 6:8, 6:8] = torch.tensor([[2.0, -2.0], [-2.0, 2.0]])
    return inputs


@pytest.fixture(scope="module")
def planted():
    """Return a network that takes stamped images for the target class."""
    network, clean = small_cnn(), some_samples(512, seed=0)
    bad = torch.arange(512) % 5 == 0
    inputs = torch.where(bad.view(-1, 1, 1, 1), stamped(clean.inputs), clean.inputs)
    poisoned = RootData(inputs, torch.where(bad, TARGET, clean.labels))
    random = torch.Generator().manual_seed(0)
    with one_thread():
        train(network, poisoned, settings_of(6, 32, 0.05), random, factor=lambda epoch: 1.0)
    return network


def figures(network):
    """Return the accuracy on other images, and the share of stamped ones that are taken for the target."""
    test = some_samples(400, seed=99)
    others = test.labels != TARGET
    as_target = RootData(stamped(test.inputs[others]), torch.full((300,), TARGET))
    return accuracy(network, test), accuracy(network, as_target)


def server_of(network, root=ROOT, num_rounds=3, shape=IMAGE_SHAPE, seed=0):
    bench = TorchWorkbench(partial(copy.deepcopy, network), shape, NUM_CLASSES, root)
    return ServerContext(layout_of(network), num_rounds, seed=seed, workbench=bench)


def prepared(removal, network, **server):
    removal.prepare(server_of(network, **server))
    return removal


def after_round(removal, network, server_round=3):
    """Return the model that a round ends with, by default the last."""
    sent = type("Sent", (), {"server_round": server_round})
    return removal.finish(state_arrays(network), sent, None)


def is_same(arrays, others):
    return all(np.array_equal(*pair) for pair in zip(arrays, others, strict=True))


def build(kind, **settings):
    return kind(courier=InnerCourier(), **settings)


EFFECTIVE = {
    # Of all of them it is known to leave most of a backdoor.
    FineTuning: ({"epochs": 20, "rate": 0.3}, 0.95),
    FinePruning: ({}, 0.3),
    CLP: ({"u": 1.0}, 0.3),
    NAD: ({}, 0.3),
    IBAU: ({"rounds": 8, "batch_size": 20, "rate": 0.005}, 0.5),
}
"""Settings for so small a network, and how many stamped images may be taken for the target still."""

each = pytest.mark.parametrize("kind", EFFECTIVE, ids=lambda kind: kind.__name__)


@each
def test_a_planted_backdoor_goes_and_accuracy_stays(kind, planted):
    before = figures(planted)
    assert before[0] > 0.95
    assert before[1] > 0.95
    settings, largest = EFFECTIVE[kind]
    removal = prepared(build(kind, **settings), planted)
    found = figures(removal.bench.network(after_round(removal, planted)))
    assert found[0] > before[0] - 0.1
    assert found[1] < largest


QUICK = {
    FineTuning: {"epochs": 1},
    FinePruning: {"epochs": 1},
    CLP: {"u": 1.0},
    NAD: {"epochs": 1, "teacher_epochs": 1},
    IBAU: {"rounds": 1, "terms": 2},
}


@each
def test_its_bits_follow_from_seed_and_round_alone(kind, planted):
    removal = prepared(build(kind, every=1, **QUICK[kind]), planted)
    torch.manual_seed(5)
    drawn, usual = torch.random.get_rng_state(), torch.get_num_threads()
    first = after_round(removal, planted)
    assert torch.equal(torch.random.get_rng_state(), drawn)
    torch.manual_seed(6)
    torch.set_num_threads(2)
    try:
        again = after_round(prepared(build(kind, every=1, **QUICK[kind]), planted), planted)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(usual)
    assert is_same(first, again)
    draws = kind is not CLP
    assert is_same(first, after_round(removal, planted, server_round=2)) != draws
    removal.occurrence = 1
    assert is_same(first, after_round(removal, planted)) != draws


@each
def test_the_model_keeps_its_layout_and_buffers_are_those_of_the_network(kind, planted):
    cleaned = after_round(prepared(build(kind, **QUICK[kind]), planted), planted)
    layout = layout_of(planted)
    layout.check(cleaned)
    are_trained = kind not in {CLP, IBAU}
    assert is_same(layout.buffers(cleaned), layout.buffers(state_arrays(planted))) != are_trained


def test_it_works_after_the_last_round_or_every_so_many(planted):
    at_the_end = prepared(build(CLP, u=1.0), planted)
    every_other = prepared(build(CLP, u=1.0, every=2), planted, num_rounds=None)
    model = state_arrays(planted)

    def rounds(removal):
        return [not is_same(model, after_round(removal, planted, number)) for number in range(1, 5)]

    assert rounds(at_the_end) == [False, False, True, False]
    assert rounds(every_other) == [False, True, False, True]
    counted_on = build(CLP, u=1.0)
    counted_on.prepare(replace(server_of(planted, num_rounds=1), last_round=4))
    assert rounds(counted_on) == [False, False, False, True]


def test_in_a_chain_it_is_what_it_is_alone(planted):
    chain = prepared(Chain([build(FedAvg), build(NAD, **QUICK[NAD])], courier=InnerCourier()), planted)
    assert chain.needs == "root data"
    assert is_same(
        after_round(chain, planted), after_round(prepared(build(NAD, **QUICK[NAD]), planted), planted)
    )


def linear():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, NUM_CLASSES))


@pytest.mark.parametrize(
    ("kind", "network", "server", "message"),
    [
        (NAD, small_cnn, {"root": None}, "server.root_samples = 0: must be at least 1: NAD needs"),
        (NAD, small_cnn, {"root": some_samples(1, 0)}, "server.root_samples = 1: NAD needs at least 2"),
        (CLP, small_cnn, {"num_rounds": None}, "strategy.every = None: nobody knows which round is the last"),
        (CLP, linear, {}, "model = Sequential: CLP judges convolutions of images"),
        (
            FinePruning,
            linear,
            {"shape": (64,)},
            "model = Sequential: FinePruning judges convolutions of images",
        ),
        (IBAU, linear, {"shape": (64,)}, "model = Sequential: IBAU perturbs images"),
    ],
)
def test_what_it_cannot_work_with_is_refused_in_one_line(kind, network, server, message):
    with pytest.raises(ConfigError) as caught:
        prepared(build(kind), network(), **server)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_clp_needs_no_samples_and_fine_tuning_and_i_bau_no_convolutions():
    prepared(build(CLP), small_cnn(), root=None)
    prepared(build(FineTuning), linear(), shape=(64,))
    prepared(build(IBAU), linear())


def test_a_training_that_diverges_leaves_the_model_as_it_was(planted, caplog):
    removal = prepared(build(FineTuning, rate=1e30, epochs=1), planted)
    with caplog.at_level(logging.WARNING, "fl_backdoor"):
        assert is_same(after_round(removal, planted), state_arrays(planted))
    assert "FineTuning has diverged, the model stays as it was" in caplog.text


@pytest.mark.parametrize("name", ["clp", "fine_pruning", "fine_tuning", "i_bau", "nad"])
def test_it_runs_as_configured_in_a_flower_app(name):
    [composition] = composed([f"strategy={name}"])
    known = {"learning_rate": 0.5, "num_steps": 2, "workbench": small_bench()}
    removal = strategy_plugin.build(composition["strategy"], {}, **known)
    found = run(removal, InProcess([0.01, 0.02, 0.03]), named_arrays(small_cnn()), num_rounds=2)
    assert removal.outcome.rejected == {}
    assert all(np.isfinite(array).all() for array in found.values())
    others = run(FedAvg(), InProcess([0.01, 0.02, 0.03]), named_arrays(small_cnn()), num_rounds=2)
    # Of convolutions of 12 and 16 channels that have just been drawn CLP prunes none.
    is_mean = all(np.allclose(array, others[key], atol=1e-6) for key, array in found.items())
    assert is_mean == (name == "clp")
