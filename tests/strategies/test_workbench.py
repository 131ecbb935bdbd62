"""Where rules try models out: what it answers, and who is refused without one."""

import numpy as np
import pytest
import torch
from torch import nn

from fl_backdoor.config.schema import parse_whole
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.seeding import Purpose, integer_seed
from fl_backdoor.federation.context import ExperimentContext
from fl_backdoor.federation.workbench import workbench_of
from fl_backdoor.models.factory import load_arrays, state_arrays
from fl_backdoor.runner.composition import composed
from strategies.chain.chain import Chain
from strategies.rules.fedavg import FedAvg
from strategies.torch_workbench import TorchWorkbench
from strategies.workbench import RootData

NUM_ROOT = 40


class Looking(FedAvg):
    """A rule that wants to look at models."""

    needs = "network"


class Training(FedAvg):
    """A rule that wants samples."""

    needs = "root data"


def two_layers() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))


def bench(**settings: object) -> TorchWorkbench:
    return TorchWorkbench(two_layers, (2,), 2, **settings)


@pytest.fixture(scope="module")
def config():
    overrides = [
        "dataset=mnist5k",
        "client.local_steps=2",
        "precision=fp32",
        f"server.root_samples={NUM_ROOT}",
    ]
    return parse_whole(next(composed(overrides)))[0]


def test_scores_and_features_are_those_worked_out_by_hand():
    model = [
        np.array([[1, 0], [0, 1], [1, -1]], dtype=np.float32),
        np.zeros(3, dtype=np.float32),
        np.array([[1, 0, 1], [0, 2, 0]], dtype=np.float32),
        np.array([0.5, -0.5], dtype=np.float32),
    ]
    inputs = torch.tensor([[3.0, 1.0], [-1.0, 2.0]])
    assert bench().features(model, inputs).tolist() == [[3, 1, 2], [0, 2, 0]]
    assert bench().scores(model, inputs).tolist() == [[5.5, 1.5], [0.5, 3.5]]


def test_a_network_is_a_new_one_each_time_and_gives_its_tensors_back():
    workbench = bench()
    model = [np.full_like(array, 0.25) for array in state_arrays(two_layers())]
    first, second = workbench.network(model), workbench.network(model)
    with torch.no_grad():
        next(first.parameters()).zero_()
    assert all(np.array_equal(*pair) for pair in zip(workbench.arrays(second), model, strict=True))
    assert not workbench.arrays(first)[0].any()
    assert not second.training


def test_a_network_without_a_linear_layer_has_no_features():
    with pytest.raises(ValueError, match=r"^the network has no linear layer"):
        TorchWorkbench(nn.ReLU, (2,), 2).features([], torch.zeros(1, 2))


@pytest.mark.parametrize("rule", [Looking, Training])
def test_a_rule_says_what_it_lacks_when_it_is_built(rule):
    with pytest.raises(ConfigError, match=f"^workbench = None: {rule.__name__} tries models out"):
        rule()


def test_samples_are_asked_of_those_who_train_on_them():
    lacking = (
        r"^server\.root_samples = 0: must be at least 1: Training needs labelled samples of the server's own$"
    )
    with pytest.raises(ConfigError, match=lacking):
        Training(workbench=bench())
    Looking(workbench=bench())
    Training(workbench=bench(root=RootData(torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64))))


def test_a_chain_needs_what_its_steps_need_and_has_their_workbench():
    workbench = bench()
    chain = Chain([Looking(workbench=workbench)])
    assert (chain.needs, chain.workbench) == ("network", workbench)
    assert (Chain([FedAvg()]).needs, Chain([FedAvg()]).workbench) == ("nothing", None)


def test_the_benchs_own_has_the_servers_samples_as_the_network_takes_them(config):
    workbench, context = workbench_of(config, lambda: None), ExperimentContext(config)
    assert workbench.root.inputs.shape == (NUM_ROOT, *workbench.input_shape) == (NUM_ROOT, 1, 28, 28)
    assert workbench.num_classes == 10
    labels = context.data.train.labels[context.root_rows]
    assert workbench.root.labels.tolist() == labels.tolist()
    pixels = context.data.train.samples[context.root_rows[7]] / 255
    mean, deviation = context.dataset.mean[0], context.dataset.std[0]
    assert np.allclose(workbench.root.inputs[7].numpy(), (pixels - mean) / deviation, atol=1e-5)


def test_the_server_trains_on_its_samples_as_an_honest_client_does(config):
    model = state_arrays(ExperimentContext(config).model)
    seen: list[int] = []
    update = workbench_of(config, lambda: seen.append(1)).train_on_root(model, 3)
    context = ExperimentContext(config)
    load_arrays(context.model, model)
    seed = integer_seed(config.seed, Purpose.ROOT_TRAINING, 3)
    samples = context.training_samples.select(context.root_rows)
    context.trainer.train(samples, torch.Generator().manual_seed(seed))
    assert np.array_equal(update, context.layout.update(state_arrays(context.model), model))
    assert len(seen) == 2  # looked after each step whether the run goes on
    again = workbench_of(config, lambda: None)
    assert not np.array_equal(again.train_on_root(model, 4), update)
    assert np.array_equal(again.train_on_root(model, 3), update)


def test_how_many_threads_there_are_is_not_seen(config):
    model = state_arrays(ExperimentContext(config).model)
    workbench, before = workbench_of(config, lambda: None), torch.get_num_threads()
    inputs = workbench.root.inputs
    seen = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            seen.append((workbench.scores(model, inputs), workbench.train_on_root(model, 1)))
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(before)
    assert all(np.array_equal(*pair) for pair in zip(*seen, strict=True))
