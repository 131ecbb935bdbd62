"""BackdoorIndicator: what the server plants, and who is found to have kept it."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.layout import Layout
from fl_backdoor.models.factory import layout_of, state_arrays
from strategies.chain.chain import Chain
from strategies.indicator.rule import BackdoorIndicator
from strategies.indicator.task import IndicatorTask, highest_accuracy
from strategies.rules.fedavg import FedAvg
from strategies.torch_workbench import TorchWorkbench


def normalising() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 2, bias=False)
    )


def linear() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False))


WORKBENCH = TorchWorkbench(normalising, (1, 8, 8), 2)
MODEL = state_arrays(normalising())


def test_one_class_that_is_known_suffices():
    labels = np.array([0, 0, 1, 1, 1, 3])
    assert highest_accuracy(np.array([0, 1, 1, 1, 0, 2]), labels) == pytest.approx(2 / 3)
    assert highest_accuracy(np.array([3, 3, 3, 3, 3, 3]), labels) == 1
    assert highest_accuracy(np.array([1, 1, 0, 0, 0, 0]), labels) == 0


def test_samples_are_noise_and_each_label_is_as_frequent():
    task = IndicatorTask.drawn(WORKBENCH, 101, np.random.default_rng(1))
    assert task.inputs.shape == (101, 1, 8, 8)
    assert 0 <= task.inputs.min() < 0.01
    assert 0.99 < task.inputs.max() < 1
    assert np.bincount(task.labels).tolist() == [51, 50]
    assert task.labels[:10].unique().tolist() == [0, 1], "in no order"


def test_two_steps_by_hand():
    task = IndicatorTask(torch.tensor([[[[1.0, 0.0]]], [[[0.0, 2.0]]]]), torch.tensor([0, 1]))
    workbench = TorchWorkbench(linear, (1, 1, 2), 2)
    rate, pull = 0.1, 0.5
    learnt = partial(task.learnt, workbench, [np.zeros((2, 2), np.float32)], learning_rate=rate, pull=pull)
    # At first each class has the probability ½, and the distance has no direction.
    gradient = np.array([[-0.5 * 1, 0.5 * 2], [0.5 * 1, -0.5 * 2]]) / 2
    once = -rate * gradient
    np.testing.assert_allclose(learnt(epochs=1)[0], once, rtol=1e-6)
    logits = once @ [[1, 0], [0, 2]]
    wrong = np.exp(logits) / np.exp(logits).sum(axis=0) - np.eye(2)
    second = wrong @ [[1, 0], [0, 2]] / 2 + 5e-4 * once + pull / 2 * once / np.linalg.norm(once)
    twice = once - rate * (0.9 * gradient + second)
    np.testing.assert_allclose(learnt(epochs=2)[0], twice, rtol=1e-5)


@pytest.fixture
def planted(make_federation, make_clients):
    """Return the rule, the model that it sends, and a maker of clients that send back these models."""
    layout = layout_of(normalising())
    federation = make_federation(3).knowing(layout=layout, workbench=WORKBENCH)
    settings = {"num_samples": 64, "epochs": 60, "indicator_rate": 0.05}
    rule = federation.build(BackdoorIndicator, **settings)
    sent = rule.sent(MODEL)
    with_them = partial(_clients, make_clients, layout, sent)
    return rule, sent, with_them, lambda: federation.build(BackdoorIndicator, **settings)


def _clients(make_clients, layout: Layout, sent, *models):
    clients = make_clients([layout.vector(model) - layout.vector(sent) for model in models])
    clients.model.extend(sent)
    return clients


def with_answers_swapped(model):
    return [*model[:-1], -model[-1]]


def test_clients_get_a_model_that_knows_the_samples_with_the_statistics_that_it_had(planted):
    rule, sent, _, again = planted
    names = [name for name, _ in normalising().state_dict().items()]
    for name, before, after in zip(names, MODEL, sent, strict=True):
        assert np.array_equal(before, after) == name.startswith(("0.running", "0.num")), name
    for mine, theirs in zip(sent, again().sent(MODEL), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert rule._task.best_class(WORKBENCH, MODEL) < 0.95


def test_who_keeps_the_samples_is_left_out(planted):
    rule, sent, clients, _ = planted
    result = rule.aggregate(clients(sent, with_answers_swapped(sent), sent))
    np.testing.assert_array_equal(result.flagged, [True, False, True])
    np.testing.assert_array_equal(result.weights, [0, 1, 0])
    assert rule.aggregate(clients(sent, sent)).filtered.all()


class Recorded:
    """Knows nothing of the samples, and remembers who was asked."""

    def __init__(self):
        self.models = []

    def best_class(self, workbench, model):
        self.models.append(model)
        return 0.0


def test_clients_are_judged_with_the_statistics_of_the_servers_training(planted):
    rule, sent, clients, _ = planted
    rule._task = Recorded()
    assert not rule.aggregate(clients(with_answers_swapped(sent))).flagged.any()
    [judged] = rule._task.models
    # Noise in [0, 1) has the mean ½ and the variance 1/12.
    np.testing.assert_allclose([judged[2], judged[3]], [[0.5], [1 / 12]], rtol=0.05)
    assert [float(sent[2][0]), float(sent[3][0])] == [0, 1]
    np.testing.assert_array_equal(judged[7], -sent[7])


def test_a_network_for_texts_is_refused(make_federation):
    workbench = TorchWorkbench(linear, (20,), 2)
    with pytest.raises(ConfigError, match="images of noise"):
        make_federation().knowing(workbench=workbench).build(BackdoorIndicator)


class Shifting(FedAvg):
    """Sends clients a model whose every parameter is 1 more."""

    def sent(self, model):
        return [model[0] + np.float32(1), *model[1:3], model[3] + np.float32(1)]


@pytest.mark.parametrize("chained", [False, True])
def test_updates_are_relative_to_what_was_sent(make_federation, exchange, make_state, chained):
    federation = make_federation(2)
    rule = federation.build(Chain, steps=[Shifting()]) if chained else federation.build(Shifting)
    sent = exchange(rule, make_state([1, 2, 3, 4, 5]))
    sent.says(0, make_state([2, 3, 4, 5, 6]))
    sent.says(1, make_state([4, 3, 4, 5, 6]))
    moved = sent.finish()
    np.testing.assert_array_equal(rule.outcome.updates.updates, [[0] * 5, [2, 0, 0, 0, 0]])
    np.testing.assert_array_equal(moved[0].ravel(), [3, 3, 4, 5])
    np.testing.assert_array_equal(rule.outcome.updates.model[0].ravel(), [2, 3, 4, 5])
