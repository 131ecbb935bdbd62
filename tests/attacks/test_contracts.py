"""What every part of an attack must satisfy, see `fl_backdoor.testing`; what does not is found."""

import numpy as np
import pytest
import torch

from fl_backdoor.attacks.poisoning.all_to_one import AllToOne
from fl_backdoor.attacks.poisoning.base import Poisoning
from fl_backdoor.attacks.poisoning.label_flip import LabelFlip
from fl_backdoor.attacks.poisoning.source_to_target import SourceToTarget
from fl_backdoor.attacks.training.base import Constraint
from fl_backdoor.attacks.training.distance import Distance
from fl_backdoor.attacks.training.neurotoxin import Neurotoxin
from fl_backdoor.attacks.training.pgd import PGD
from fl_backdoor.attacks.triggers.overlay import Overlay
from fl_backdoor.attacks.updates.base import Manipulation
from fl_backdoor.attacks.updates.imitation import Imitation
from fl_backdoor.attacks.updates.noise import Noise
from fl_backdoor.attacks.updates.partial import Partial
from fl_backdoor.attacks.updates.scaling import Scaling
from fl_backdoor.testing import (
    check_constraint,
    check_manipulation,
    check_objective,
    check_poisoning,
    check_trigger,
    some_images,
)


@pytest.mark.parametrize(
    "build",
    [
        lambda: AllToOne(10, 5),
        lambda: SourceToTarget(10, 5, source_label=2),
        lambda: LabelFlip(10, 5, source_label=2),
    ],
)
def test_poisoning(build):
    check_poisoning(build, num_classes=10)


@pytest.mark.parametrize("build", [lambda: PGD(radius=0.5, every=2), Neurotoxin, Constraint])
def test_constraints(build):
    check_constraint(build)


def test_the_objective():
    check_objective(Distance)


@pytest.mark.parametrize(
    "build",
    [
        lambda: Scaling(factor=10),
        Imitation,
        Noise,
        lambda: Partial(num_parts=4, every=2, together=False),
    ],
)
def test_manipulations(build):
    check_manipulation(build)


class InPlace(Manipulation):
    def manipulated(self, update, knowledge):
        update *= -1
        return update


class ByChance(Manipulation):
    def manipulated(self, update, knowledge):
        return update * np.float32(np.random.default_rng().uniform())


class WholeNumbers(Manipulation):
    def manipulated(self, update, knowledge):
        return update.astype(np.int64)


@pytest.mark.parametrize(
    ("build", "fault"),
    [(InPlace, "is changed"), (ByChance, "another update"), (WholeNumbers, "int64")],
)
def test_a_manipulation_that_breaks_the_contract_is_told_so(build, fault):
    with pytest.raises(AssertionError, match=fault):
        check_manipulation(build)


class BindsInPlace(Constraint):
    def gradients(self, gradients):
        for gradient in gradients:
            gradient.zero_()
        return gradients


def test_a_poisoning_a_constraint_and_a_trigger_that_break_it_are_told_so():
    with pytest.raises(AssertionError, match="a target is no class"):
        check_poisoning(lambda: Poisoning(np.arange(10) + 1), num_classes=10)
    with pytest.raises(AssertionError, match="gradients that it was given"):
        check_constraint(BindsInPlace)
    with pytest.raises(AssertionError, match="leave"):
        check_trigger(lambda: Overlay(torch.tensor(2.0), torch.tensor(0.5)), some_images((1, 8, 8)))
