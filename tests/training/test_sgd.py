import pytest
import torch

from fl_backdoor.config.schema import ClientConfig
from fl_backdoor.training.sgd import SGD

SHAPES = [(7, 3, 3, 3), (5,), (11, 13), ()]


def parameters() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    made = [torch.randn(shape, generator=generator) for shape in SHAPES]
    made[0] = made[0].contiguous(memory_format=torch.channels_last)
    return [tensor.requires_grad_() for tensor in made]


def gradients(step: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(100 + step)
    return [torch.randn(shape, generator=generator) * 10.0 ** (step - 3) for shape in SHAPES]


@pytest.mark.parametrize("momentum", [0.0, 0.9, 1.0])
@pytest.mark.parametrize("weight_decay", [0.0, 5e-4])
def test_it_moves_parameters_as_torch_optim_does_bit_for_bit(momentum, weight_decay):
    ours, theirs = parameters(), parameters()
    optimizer = SGD(ours, ClientConfig(0.05, momentum, weight_decay, 32, 1))
    reference = torch.optim.SGD(
        theirs, lr=0.05, momentum=momentum, weight_decay=weight_decay, foreach=False, fused=False
    )
    for step in range(6):
        optimizer.step(gradients(step))
        for parameter, gradient in zip(theirs, gradients(step), strict=True):
            parameter.grad = gradient
        reference.step()
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert not torch.equal(ours[0], parameters()[0])


def test_after_a_reset_it_starts_as_a_new_one():
    settings = ClientConfig(0.05, 0.9, 0.01, 32, 1)
    used, fresh = parameters(), parameters()
    optimizer = SGD(used, settings)
    optimizer.step(gradients(0))
    with torch.no_grad():
        for parameter, start in zip(used, parameters(), strict=True):
            parameter.copy_(start)
    optimizer.reset()
    optimizer.step(gradients(1))
    SGD(fresh, settings).step(gradients(1))
    assert all(torch.equal(a, b) for a, b in zip(used, fresh, strict=True))


def test_gradients_are_left_as_they_are():
    given = gradients(2)
    SGD(parameters(), ClientConfig(0.05, 0.9, 0.01, 32, 1)).step(given)
    assert all(torch.equal(a, b) for a, b in zip(given, gradients(2), strict=True))
