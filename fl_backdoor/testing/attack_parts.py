"""What every part of an attack must satisfy: poisoning, objective, constraint, manipulation of updates."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from fl_backdoor.attacks.knowledge import Knowledge
from fl_backdoor.attacks.poisoning.base import Poisoning
from fl_backdoor.attacks.training.base import Constraint, Objective, Start
from fl_backdoor.attacks.triggers.patch import Patch
from fl_backdoor.attacks.updates.base import Manipulation
from fl_backdoor.core.layout import Layout, TensorSpec
from fl_backdoor.core.types import NO_CLASS, ParameterVector
from fl_backdoor.testing.triggers import some_images

IMAGE_SHAPE = (1, 8, 8)
NUM_STEPS = 3


def some_update(seed: int = 1, num_params: int = 1000) -> ParameterVector:
    """Return an update of noise, float32 ``(num_params,)``."""
    return np.random.default_rng(seed).standard_normal(num_params).astype(np.float32)


def knowledge_of(num_params: int = 1000) -> Knowledge:
    """Return what the second of three attackers knows in round 2 of a model of one vector."""
    layout = Layout((TensorSpec("weight", (num_params,), "float32", True),))
    honest = [some_update(seed, num_params) for seed in (11, 12, 13)]
    return Knowledge(
        seed=7,
        server_round=2,
        client_id=4,
        rank=1,
        num_malicious=3,
        layout=layout,
        received=[some_update(14, num_params)],
        shared={},
        honest=honest[1].copy,
        honest_of_all=lambda: np.stack(honest),
    )


def check_manipulation(build: Callable[[], Manipulation]) -> None:
    """See that a manipulation sends a finite update of the same size, and the same one every time.

    Raises
    ------
    AssertionError
        If it does not.
    """
    update = some_update()
    first = build().manipulated(update, knowledge_of())
    assert np.array_equal(update, some_update()), "the update that it was given is changed"
    second = build().manipulated(update, knowledge_of())
    assert first.dtype == np.float32 and first.shape == update.shape, f"{first.dtype} {first.shape} is sent"
    assert np.isfinite(first).all(), "what is sent is not finite"
    assert np.array_equal(first, second), "the same round gives another update"


def check_poisoning(build: Callable[[], Poisoning], num_classes: int) -> None:
    """See that a poisoning leads to classes that there are, and changes the chosen samples alone.

    Raises
    ------
    AssertionError
        If it does not.
    """
    poisoning, labels, indices = build(), torch.arange(num_classes), torch.arange(num_classes)
    aims = poisoning.aims()
    assert aims.dtype == np.int64 and aims.shape == (num_classes,), f"targets are {aims.dtype} {aims.shape}"
    assert (((aims >= 0) & (aims < num_classes)) | (aims == NO_CLASS)).all(), "a target is no class"
    assert poisoning.poisoned_classes().any(), "nothing is poisoned"
    trigger, images = Patch(IMAGE_SHAPE), some_images(IMAGE_SHAPE, num_classes)
    half = num_classes // 2
    poison = poisoning.in_batches(trigger, "pixel", half)
    assert poisoning.in_batches(trigger, "pixel", half) is poison, "the same arguments give another object"
    change = poison.for_batch(labels, indices)
    before = images.clone(), labels.clone()
    inputs, outputs = change.in_raw(images), change.labels(labels)
    assert torch.equal(images, before[0]), "the originals are changed"
    assert torch.equal(labels, before[1]), "the true labels are changed"
    assert torch.equal(inputs[half:], images[half:]), "samples are changed that were not to be poisoned"
    assert torch.equal(outputs[half:], labels[half:]), "labels are changed that were not to be poisoned"
    left_alone = torch.from_numpy(~poisoning.poisoned_classes())
    assert torch.equal(inputs[left_alone], images[left_alone]), "samples of other classes are changed"
    assert torch.equal(outputs[left_alone], labels[left_alone]), "labels of other classes are changed"
    assert 0 <= outputs.min() <= outputs.max() < num_classes, "a label is no class"


def check_objective(build: Callable[[], Objective]) -> None:
    """See that an objective is a finite scalar with gradients, and leaves the model alone.

    Raises
    ------
    AssertionError
        If it does not.
    """
    found = []
    for _ in range(2):
        objective, start = build(), _start()
        objective.begin(start)
        before = _copies(start.parameters)
        loss = objective.loss(start.model, *_batch())
        assert loss.shape == (), f"the loss must be a scalar, not {tuple(loss.shape)}"
        gradients = torch.autograd.grad(loss, list(start.parameters), allow_unused=True)
        known = [gradient for gradient in gradients if gradient is not None]
        assert known, "no parameter has a gradient"
        assert all(torch.isfinite(values).all() for values in (loss, *known)), "it is not finite"
        assert _equal(before, start.parameters), "the model is changed"
        found.append([loss.detach(), *known])
    assert _equal(*found), "the same model and batch give another loss"


def check_constraint(build: Callable[[], Constraint]) -> None:
    """See that a constraint keeps shapes, leaves the gradients that it is given, and does the same each time.

    Raises
    ------
    AssertionError
        If it does not.
    """
    found = []
    for _ in range(2):
        constraint, start = build(), _start()
        constraint.begin(start)
        for taken in range(1, NUM_STEPS + 1):
            given = [torch.full_like(parameter, 0.1 * taken) for parameter in start.parameters]
            before = _copies(given)
            bound = constraint.gradients(given)
            assert _equal(before, given), "the gradients that it was given are changed"
            shapes = [values.shape for values in bound]
            assert shapes == [parameter.shape for parameter in start.parameters], f"gradients are {shapes}"
            with torch.no_grad():
                torch._foreach_sub_(list(start.parameters), list(bound))
            constraint.after_step(taken, NUM_STEPS)
        assert all(torch.isfinite(parameter).all() for parameter in start.parameters), "it is not finite"
        found.append(_copies(start.parameters))
    assert _equal(*found), "the same steps lead elsewhere"


def _batch() -> tuple[torch.Tensor, torch.Tensor]:
    return some_images(IMAGE_SHAPE, 4), torch.arange(4)


def _start() -> Start:
    torch.manual_seed(5)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    parameters = list(model.parameters())
    moved = [torch.full_like(parameter, 0.01) for parameter in parameters]
    return Start(model, parameters, moved, knowledge_of(sum(map(torch.numel, parameters))))


def _copies(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    return [tensor.detach().clone() for tensor in tensors]


def _equal(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
