"""Optimisers and schedules beside those of torch.optim, and by hand."""

import pytest
import torch

from fl_backdoor.config.schema import ClientConfig
from fl_backdoor.training.gradient_clipping import clipped
from fl_backdoor.training.lr_schedules.cosine import Cosine
from fl_backdoor.training.lr_schedules.exponential import Exponential
from fl_backdoor.training.lr_schedules.milestones import Milestones
from fl_backdoor.training.optimizers.adam import Adam
from fl_backdoor.training.optimizers.choice import optimizer_of
from fl_backdoor.training.optimizers.sgd import SGD

SHAPES = [(7, 3, 3, 3), (5,), (11, 13), ()]


def parameters() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    made = [torch.randn(shape, generator=generator) for shape in SHAPES]
    made[0] = made[0].contiguous(memory_format=torch.channels_last)
    return [tensor.requires_grad_() for tensor in made]


def gradients(step: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(100 + step)
    return [torch.randn(shape, generator=generator) * 10.0 ** (step - 3) for shape in SHAPES]


def moved(optimizer, reference, steps=6, rate=None):
    """Yield our parameters and torch's after each step; in the middle both learning rates become `rate`."""
    for step in range(steps):
        if rate is not None and step == steps // 2:
            optimizer.learning_rate = reference.param_groups[0]["lr"] = rate
        optimizer.step(gradients(step))
        theirs = reference.param_groups[0]["params"]
        for parameter, gradient in zip(theirs, gradients(step), strict=True):
            parameter.grad = gradient
        reference.step()
        yield optimizer.parameters, theirs


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.9, 1.0])
@pytest.mark.parametrize("weight_decay", [0.0, 5e-4])
def test_sgd_moves_parameters_as_torch_optim_does_bit_for_bit(momentum, weight_decay, nesterov):
    nesterov = nesterov and momentum > 0
    told = {"momentum": momentum, "weight_decay": weight_decay, "nesterov": nesterov}
    optimizer = SGD(parameters(), ClientConfig(0.05, batch_size=32, local_epochs=1, **told))
    reference = torch.optim.SGD(parameters(), lr=0.05, foreach=False, fused=False, **told)
    for ours, theirs in moved(optimizer, reference, rate=0.01):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert not torch.equal(ours[0], parameters()[0])


@pytest.mark.parametrize("name", ["adam", "adamw"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize(("beta1", "beta2", "eps"), [(0.9, 0.999, 1e-8), (0.0, 0.5, 1e-3)])
def test_adam_moves_parameters_as_torch_optim_does(name, weight_decay, beta1, beta2, eps):
    told = ClientConfig(0.01, 0.0, weight_decay, 32, 1, optimizer=name, beta1=beta1, beta2=beta2, eps=eps)
    optimizer = optimizer_of(parameters(), told)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    reference = kind(parameters(), lr=0.01, betas=(beta1, beta2), eps=eps, weight_decay=weight_decay)
    for ours, theirs in moved(optimizer, reference, rate=0.002):
        for mine, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-6, atol=1e-7)
    assert not torch.allclose(ours[0], parameters()[0], atol=1e-3)


def test_a_first_step_of_each_by_hand():
    def after(gradient, **told):
        parameter = torch.tensor([2.0])
        settings = {"momentum": 0.0, "weight_decay": 0.0, "batch_size": 1, "local_epochs": 1} | told
        optimizer_of([parameter], ClientConfig(0.5, **settings)).step([torch.tensor([gradient])])
        return parameter.item()

    assert after(3.0) == 2 - 0.5 * 3
    assert after(3.0, momentum=0.5, nesterov=True) == 2 - 0.5 * (3 + 0.5 * 3)
    # The bias-corrected means of a first gradient are it and its square: a step of lr, whatever its length.
    assert after(3.0, optimizer="adam") == pytest.approx(1.5)
    assert after(3.0, optimizer="adam", eps=1.0) == pytest.approx(2 - 0.5 * 3 / (3 + 1))
    # Adam's decay turns the gradient of -3 into one of -1, AdamW's halves the parameter before the step.
    assert after(-3.0, optimizer="adam", weight_decay=1.0, eps=1.0) == pytest.approx(2 + 0.5 * 1 / (1 + 1))
    assert after(-3.0, optimizer="adamw", weight_decay=1.0) == pytest.approx(2 * 0.5 + 0.5)


@pytest.mark.parametrize("bound", [0.5, 5.0, 1e6])
def test_gradients_are_clipped_as_torch_does_it(bound):
    given, theirs = gradients(3), parameters()
    for parameter, gradient in zip(theirs, gradients(3), strict=True):
        parameter.grad = gradient
    torch.nn.utils.clip_grad_norm_(theirs, bound)
    found = clipped(given, bound)
    assert all(torch.equal(a, b.grad) for a, b in zip(found, theirs, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(given, gradients(3), strict=True)), "they are left alone"


def test_a_clipped_gradient_by_hand():
    # (3, 4) is 5 long; with 12 it is 13.
    found = clipped([torch.tensor([3.0, 4.0]), torch.tensor(12.0)], 1.3)
    assert found[0].tolist() == pytest.approx([0.3, 0.4], rel=1e-6)
    assert found[1].item() == pytest.approx(1.2, rel=1e-6)


@pytest.mark.parametrize("told", [{"momentum": 0.9}, {"momentum": 0.0, "optimizer": "adam"}])
def test_after_a_reset_it_starts_as_a_new_one(told):
    settings = ClientConfig(0.05, weight_decay=0.01, batch_size=32, local_epochs=1, **told)
    used, fresh = parameters(), parameters()
    optimizer = optimizer_of(used, settings)
    optimizer.step(gradients(0))
    with torch.no_grad():
        for parameter, start in zip(used, parameters(), strict=True):
            parameter.copy_(start)
    optimizer.reset()
    optimizer.step(gradients(1))
    optimizer_of(fresh, settings).step(gradients(1))
    assert all(torch.equal(a, b) for a, b in zip(used, fresh, strict=True))


@pytest.mark.parametrize("kind", [SGD, Adam])
def test_gradients_are_left_as_they_are(kind):
    given = gradients(2)
    kind(parameters(), ClientConfig(0.05, 0.9, 0.01, 32, 1, nesterov=True)).step(given)
    assert all(torch.equal(a, b) for a, b in zip(given, gradients(2), strict=True))


@pytest.mark.parametrize(
    ("schedule", "reference"),
    [
        (Exponential(gamma=0.9), lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.9)),
        (Milestones(milestones=(3, 7)), lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [3, 7])),
        (Cosine(floor=0.1), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 10, eta_min=0.05)),
    ],
)
def test_rounds_take_the_place_of_the_epochs_of_torchs_schedulers(schedule, reference):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    scheduler, rates = reference(optimizer), []
    for _ in range(10):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert [0.5 * schedule.factor(number, 10) for number in range(1, 11)] == pytest.approx(rates)
