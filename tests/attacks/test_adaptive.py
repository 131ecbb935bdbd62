"""Triggers that learn: against models small enough to know what they must learn."""

from itertools import repeat

import numpy as np
import pytest
import torch
from torch import nn

from clients import MaliciousClient
from fl_backdoor.attacks.shared_state import TRIGGER, packed, unpacked
from fl_backdoor.attacks.triggers.a3fl import A3FL
from fl_backdoor.attacks.triggers.bar import Bar
from fl_backdoor.attacks.triggers.input_aware import InputAware
from fl_backdoor.config.schema import AttackConfig
from fl_backdoor.models.factory import state_arrays
from tests.clients.test_clients import GLOBAL_MODEL, SHAPE, attacking, fit, malicious

LEARNING = [A3FL(SHAPE, steps=3), InputAware(SHAPE, steps=2)]
MODEL = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 10))


def batch(num: int = 8):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(num, *SHAPE, generator=generator), torch.arange(num) % 10


def improved(trigger, model=MODEL, target: int = 5):
    return trigger.improved(model, repeat(batch()), target)


def attacker(trigger) -> MaliciousClient:
    return attacking(AttackConfig(3, 0.25, 5, 1.0, 2, 3, {}, "pixel"), trigger=trigger)


def same(first, second) -> bool:
    return np.array_equal(first, second)


@pytest.mark.parametrize("trigger", LEARNING, ids=["a3fl", "input_aware"])
def test_learning_changes_a_copy_and_neither_the_trigger_nor_the_model(trigger):
    trigger_before, model_before = trigger.learnt().copy(), [array.copy() for array in state_arrays(MODEL)]
    random = torch.random.get_rng_state()
    better = improved(trigger)
    assert same(trigger.learnt(), trigger_before)
    assert not same(better.learnt(), trigger_before)
    assert all(np.array_equal(a, b) for a, b in zip(state_arrays(MODEL), model_before, strict=True))
    assert all(parameter.grad is None for parameter in MODEL.parameters())
    assert same(improved(trigger).learnt(), better.learnt()), "the same samples give the same bits"
    assert torch.equal(torch.random.get_rng_state(), random)
    assert not better.stamp(batch()[0]).requires_grad


@pytest.mark.parametrize("trigger", LEARNING, ids=["a3fl", "input_aware"])
def test_what_is_learnt_is_stamped_elsewhere(trigger):
    better = improved(trigger)
    elsewhere = trigger.with_learnt(better.learnt())
    assert torch.equal(elsewhere.stamp(batch()[0]), better.stamp(batch()[0]))
    assert not torch.equal(elsewhere.stamp(batch()[0]), trigger.stamp(batch()[0]))


@pytest.mark.parametrize(
    "wrong",
    [np.zeros(0), np.zeros(3), np.full(25, np.nan), np.zeros((5, 5)), np.zeros(25, np.int32)],
)
def test_what_cannot_be_a_triggers_changes_nothing(wrong):
    trigger = A3FL(SHAPE)  # 5 * 5 grey pixels
    learnt = wrong if wrong.dtype == np.int32 else wrong.astype(np.float32)
    assert trigger.with_learnt(learnt) is trigger
    assert trigger.merged([learnt]).size == 0
    valid = np.full(25, 0.25, np.float32)
    assert same(trigger.merged([learnt, valid]), valid)


def test_what_several_have_learnt_is_merged_to_its_mean():
    learnt = [np.full(25, value, np.float32) for value in (0.125, 0.25, 0.75)]
    assert A3FL(SHAPE).merged(learnt).tolist() == [0.375] * 25


def test_a_fixed_trigger_learns_nothing():
    bar, learnt = Bar(SHAPE), np.ones(3, np.float32)
    assert improved(bar) is bar
    assert bar.with_learnt(learnt) is bar
    assert bar.learnt().size == bar.merged([learnt]).size == 0


def linear(weight: torch.Tensor) -> nn.Module:
    model = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 2, bias=False))
    with torch.no_grad():
        model[1].weight.copy_(weight)
    return model


def signs() -> torch.Tensor:
    return torch.randint(0, 2, (28, 28), generator=torch.Generator().manual_seed(2)) * 2.0 - 1


@pytest.mark.parametrize(("steps", "moved"), [(1, 0.125), (3, 0.375), (9, 0.5)])
def test_each_pixel_of_a3fl_goes_to_where_the_target_has_the_larger_weight(steps, moved):
    # Two classes, logits w_0 x and w_1 x: the loss of class 1 falls along w_1 - w_0, whatever x is.
    weight = torch.stack([torch.zeros(28 * 28), 0.01 * signs().flatten()])
    trigger = A3FL(SHAPE, size=4, margin=3, steps=steps, step_size=0.125, balance=0)
    pixels = batch()[0]
    better = trigger.improved(linear(weight), repeat((pixels, torch.zeros(8, dtype=torch.int64))), 1)
    expected = 0.5 + moved * signs()[3:7, 3:7]
    assert torch.equal(better.pattern[0], expected)
    stamped = better.stamp(pixels)
    assert torch.equal(stamped[:, 0, 3:7, 3:7], expected.expand(8, 4, 4))
    stamped[:, :, 3:7, 3:7] = pixels[:, :, 3:7, 3:7]
    assert torch.equal(stamped, pixels)


def test_the_model_that_unlearns_is_heeded():
    """It starts as the global model and learns to answer stamped images of class 0 with 0."""
    weight = torch.stack([torch.zeros(28 * 28), 0.01 * signs().flatten()])
    truth = repeat((batch()[0], torch.zeros(8, dtype=torch.int64)))
    # One large step ends with weights of class 0 that rise, and of class 1 that fall, with every pixel. Their
    # cosine to the global model's is some positive or negative number; it is made to count alone.
    trigger = A3FL(SHAPE, steps=1, step_size=0.125, unlearning_rate=1e4, balance=0)
    alone = trigger.improved(linear(weight), truth, 1)
    trigger.balance = 1e6
    heeding = trigger.improved(linear(weight), truth, 1)
    assert torch.equal(alone.pattern[0], 0.5 + 0.125 * signs()[2:7, 2:7])
    moved = (heeding.pattern - 0.5).unique()
    assert moved.abs().tolist() == [0.125], "every pixel goes the same way"


def test_input_aware_triggers_are_small_differ_by_image_and_lead_to_the_target():
    model = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 10))
    weight = torch.randn(10, 28 * 28, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        model[1].weight.copy_(0.2 * weight)
    pixels, labels = batch(16)
    before = InputAware(SHAPE, density=0.04, steps=20)
    after = before.improved(model, repeat((pixels, labels)), 5)
    pattern, mask = after.drawn(pixels)
    assert mask.shape == (16, 1, 28, 28)
    assert mask.flatten(1).mean(1).max() <= 0.04 + 1e-6
    assert (pattern[0] - pattern[1]).abs().mean() > 0.01
    torch.testing.assert_close(after.stamp(pixels), (1 - mask) * pixels + mask * pattern)
    aimed = [model(trigger.stamp(pixels)).log_softmax(1)[:, 5].mean() for trigger in (before, after)]
    assert aimed[1] > aimed[0] + 0.3


def test_an_attacker_learns_in_its_rounds_tells_and_listens():
    client = attacker(A3FL(SHAPE, steps=2))
    first = client.trigger.learnt().copy()
    assert fit(client, server_round=1)[2]["shared_state"] == b""
    assert same(client.trigger.learnt(), first)
    learnt = fit(client, server_round=2)[2]["shared_state"]
    assert not same(unpacked(learnt)[TRIGGER], first)
    again = fit(attacker(A3FL(SHAPE, steps=2)), server_round=2)[2]["shared_state"]
    assert learnt == again
    learnt = np.full(25, 0.25, np.float32)
    late = attacker(A3FL(SHAPE, steps=2))
    config = {"server_round": 4, "shared_state": packed({TRIGGER: learnt})}
    assert late.fit(state_arrays(GLOBAL_MODEL), config)[2]["shared_state"] == b""
    assert same(late.trigger.learnt(), learnt), "after its last round nothing changes any more"


def test_an_attacker_with_a_fixed_trigger_tells_nothing():
    assert fit(malicious())[2]["shared_state"] == b""
