"""Checks of what rules, parts of attacks, augmentations and data sets must satisfy, for anybody's package.

Each raises AssertionError; pytest is not needed. See ``docs/extending.md``.
"""

from fl_backdoor.testing.attack_parts import (
    check_constraint,
    check_manipulation,
    check_objective,
    check_poisoning,
)
from fl_backdoor.testing.augmentations import check_augmentation
from fl_backdoor.testing.datasets import check_dataset
from fl_backdoor.testing.lr_schedules import check_lr_schedule
from fl_backdoor.testing.rounding import assert_among, last_digits
from fl_backdoor.testing.rules import RuleContract
from fl_backdoor.testing.triggers import check_trigger, some_images

__all__ = [
    "RuleContract",
    "assert_among",
    "check_augmentation",
    "check_constraint",
    "check_dataset",
    "check_lr_schedule",
    "check_manipulation",
    "check_objective",
    "check_poisoning",
    "check_trigger",
    "last_digits",
    "some_images",
]
