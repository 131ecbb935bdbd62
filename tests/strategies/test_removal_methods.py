"""What each removal computes: figures by hand, and beside PyTorch's own differentiation."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import nn

from strategies.removal.channels import Channels, channels_of
from strategies.removal.clp import lipschitz_bounds, sensitive
from strategies.removal.fine_pruning import FinePruning, idle_channels, mean_activations
from strategies.removal.i_bau import hypergradient, universal_perturbation
from strategies.removal.nad import attention_map, distillation_loss, falling_rate, observed
from strategies.removal.training import batches, half_a_cosine
from strategies.workbench import RootData
from tests.strategies.benches import IMAGE_SHAPE, small_bench, small_cnn


def two_channels():
    """Return kernels whose matrices (inputs, positions) are diag(3, 4) and all ones."""
    convolution = nn.Conv2d(2, 2, (1, 2), bias=False)
    kernels = [[[[3.0, 0.0]], [[0.0, 4.0]]], [[[1.0, 1.0]], [[1.0, 1.0]]]]
    convolution.weight.data = torch.tensor(kernels)
    return convolution


def test_clps_bounds_by_hand():
    convolution, norm = two_channels(), nn.BatchNorm2d(2)
    np.testing.assert_allclose(lipschitz_bounds(Channels(convolution)), [4, 2], rtol=1e-12)
    norm.weight.data = torch.tensor([0.5, -3.0])
    norm.running_var = torch.tensor([4.0, 9.0]) - norm.eps
    np.testing.assert_allclose(lipschitz_bounds(Channels(convolution, norm)), [4 * 0.25, 2 * 1.0], rtol=1e-6)


def test_clp_prunes_above_the_mean_by_u_deviations():
    # Mean 1.75, deviation √6.75: the threshold at u = 3 is 9.54.
    assert sensitive(np.array([1.0] * 11 + [10]), 3).tolist() == [11]
    assert sensitive(np.array([1.0] * 11 + [10]), 3.2).tolist() == []
    # Of ten none can be more than 9/√10 = 2.85 deviations above the mean.
    assert sensitive(np.array([1.0] * 9 + [1000]), 3).tolist() == []
    assert sensitive(np.full(16, 0.1), 0).tolist() == []
    assert sensitive(np.array([5.0]), 0).tolist() == []


class PreActivated(nn.Module):
    """Its BatchNorm stands before the convolution, another behind it, and neither in that order here."""

    def __init__(self):
        super().__init__()
        self.behind, self.before = nn.BatchNorm2d(2), nn.BatchNorm2d(1)
        self.second, self.first = nn.Conv2d(2, 2, 1), nn.Conv2d(1, 2, 1)

    def forward(self, images):
        return self.second(self.behind(self.first(self.before(images)))) + images


def test_which_norm_is_behind_which_convolution_is_seen():
    network = PreActivated().eval()
    found = channels_of(network, (1, 2, 2))
    assert [(each.convolution, each.norm) for each in found] == [
        (network.first, network.behind),
        (network.second, None),
    ]


def test_a_silent_channel_puts_out_zeros():
    network = small_cnn().eval()
    [channels, _] = channels_of(network, IMAGE_SHAPE)
    assert channels.norm is network[1]
    channels.silence(torch.tensor([3, 5]))
    found = network[:2](torch.ones(1, *IMAGE_SHAPE))[0].abs().sum(dim=(1, 2))
    assert np.flatnonzero(found.detach().numpy() == 0).tolist() == [3, 5]


def idle_one():
    """Return a network whose channels are x, x/2 and -x of a pixel x; class 1 is where 2x > 4."""
    network = nn.Sequential(nn.Conv2d(1, 3, 1, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(3, 2))
    network[0].weight.data = torch.tensor([1.0, 0.5, -1.0]).view(3, 1, 1, 1)
    network[3].weight.data = torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, 5.0]])
    network[3].bias.data = torch.tensor([0.0, -4.0])
    return network.eval()


PIXELS = RootData(torch.tensor([1.0, 3.0, 1.0, 3.0]).view(4, 1, 1, 1), torch.tensor([0, 1, 0, 1]))


def test_the_channels_that_fine_pruning_takes():
    network = idle_one()
    [channels] = channels_of(network, (1, 1, 1))
    assert mean_activations(network, channels, PIXELS.inputs).tolist() == [2, 1, 0]
    # Without the second channel class 1 is where x > 4: nowhere, half of the accuracy. One is always left.
    assert idle_channels(network, channels, PIXELS, 0.4, 1).tolist() == [2]
    assert idle_channels(network, channels, PIXELS, 0.5, 1).tolist() == [2, 1]
    assert idle_channels(network, channels, PIXELS, 0.4, 2).tolist() == []
    assert network[0].weight.flatten().tolist() == [1, 0.5, -1]


def test_what_is_pruned_stays_zero_while_the_rest_is_trained():
    bench = small_bench()
    network = bench.network(bench.arrays(small_cnn()))
    removal = FinePruning(workbench=bench, epochs=2, max_drop=1)
    removal.server = type("Server", (), {"workbench": bench})
    removal.remove(network, torch.Generator().manual_seed(0))
    last = channels_of(network, IMAGE_SHAPE)[-1]
    used = [
        tensor.detach().flatten(1).any(dim=1) if tensor.dim() > 1 else tensor != 0 for tensor in last.tensors
    ]
    assert [int(each.sum()) for each in used] == [1, 1, 1, 1]
    assert not torch.equal(network[0].weight, small_cnn()[0].weight)


def test_nads_attention_map_and_loss_by_hand():
    features = torch.tensor([[[[1.0, 2.0]], [[2.0, 0.0]]]])
    np.testing.assert_allclose(attention_map(features), [[5 / 41**0.5, 4 / 41**0.5]], rtol=1e-6)
    teacher = torch.tensor([[[[0.0, 3.0]], [[0.0, 0.0]]]])
    size, dot = features.shape[2:], torch.ones(1, 4, 1, 1)
    difference = ((5 / 41**0.5) ** 2 + (4 / 41**0.5 - 1) ** 2) / 2
    student, taught = {size: features, dot.shape[2:]: dot}, {size: teacher, dot.shape[2:]: 2 * dot}
    assert float(distillation_loss(student, taught, (500, 1000, 2000))) == pytest.approx(
        2000 * difference, rel=1e-5
    )


def test_nad_looks_at_the_last_map_of_each_size():
    network = small_cnn().eval()
    images = torch.ones(2, *IMAGE_SHAPE)
    with observed(network) as seen:
        network(images)
    assert [tuple(size) for size in seen] == [(8, 8), (4, 4), (2, 2)]
    for size, layers in {(8, 8): 3, (4, 4): 7, (2, 2): 8}.items():
        assert torch.equal(seen[torch.Size(size)], network[:layers](images))


def test_rates_over_the_epochs():
    assert [falling_rate(epoch) for epoch in range(4)] == [1, 1, 0.1, 0.1]
    np.testing.assert_allclose(
        [half_a_cosine(4)(epoch) for epoch in range(4)], [1, 0.5 + 0.5**1.5, 0.5, 0.5 - 0.5**1.5]
    )


def test_no_sample_is_a_batch_alone():
    sizes = [len(labels) for _, labels in batches(PIXELS, 3, torch.Generator())]
    assert sizes == [4]
    found = [labels for _, labels in batches(PIXELS, 2, torch.Generator())]
    assert torch.cat(found).sort().values.tolist() == [0, 0, 1, 1]


def test_i_baus_perturbation_by_hand():
    network = nn.Sequential(nn.Flatten(), nn.Linear(1, 2, bias=False))
    network[1].weight.data = torch.tensor([[0.0], [math.log(3)]])
    root = RootData(torch.ones(2, 1, 1, 1), torch.tensor([0, 0]))  # taken for class 1, with 3/4
    found = universal_perturbation(network, root, 2, 10, torch.Generator())
    assert found.item() == pytest.approx(-10 * math.log(3) / 4, rel=1e-6)
    assert universal_perturbation(network, root, 2, 2, torch.Generator()).item() == pytest.approx(-2)


def test_i_baus_hypergradient_by_hand():
    theta, delta = torch.tensor(2.0, dtype=torch.float64, requires_grad=True), torch.tensor(1.0).double()

    def found(terms):
        [gradient] = hypergradient(
            lambda delta: delta**2 - 3 * theta * delta,
            lambda delta: delta**2 + theta**2,
            delta,
            [theta],
            step=0.1,
            terms=terms,
        )
        return gradient.item()

    # ∂Φ/∂δ = .8, ∂Φ/∂θ = .3, ∂outer/∂δ = 2: v = 2 · (1 + .8 + .64).
    assert found(3) == pytest.approx(4 + 0.3 * 4.88)
    # δ(θ) = 3θ/2, so that in the limit 2δ · 3/2 is added.
    assert found(300) == pytest.approx(4 + 3)


def test_i_baus_hypergradient_is_that_of_the_unrolled_problem():
    random = torch.Generator().manual_seed(0)
    first, second = (torch.randn(3, 3, generator=random).double().requires_grad_() for _ in range(2))
    inputs, labels = torch.randn(5, 3, generator=random).double(), torch.tensor([0, 1, 2, 0, 1])

    def inner(delta):
        answers = torch.tanh((inputs + delta) @ first) @ second
        return 2 * delta.square().sum() - F.cross_entropy(answers, labels)

    def outer(delta):
        return F.cross_entropy(torch.tanh((inputs - 2 * delta) @ first) @ second, labels)

    def moved(delta):
        [slope] = torch.autograd.grad(inner(delta), delta, create_graph=True)
        return delta - 0.1 * slope

    delta = torch.zeros(3, dtype=torch.float64)
    for _ in range(300):
        delta = moved(delta.requires_grad_()).detach()
    unrolled = delta.clone().requires_grad_()
    for _ in range(4):
        unrolled = moved(unrolled)
    expected = torch.autograd.grad(outer(unrolled), [first, second])
    found = hypergradient(inner, outer, delta, [first, second], step=0.1, terms=4)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-7, atol=1e-10)
    direct = torch.autograd.grad(outer(delta), [first, second])
    assert float((direct[0] - expected[0]).abs().max()) > 1e-3
