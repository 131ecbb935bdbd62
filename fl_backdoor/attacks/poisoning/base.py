"""What every poisoning is: which samples change and how, and with which samples its success is measured.

Both follow from one map, from a sample's class to the class that a poisoned model is to take it for. Samples
of a class without such a target are left as they are in training, and do not count in the test.
"""

from abc import ABC
from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fl_backdoor.attacks.triggers.base import Trigger
from fl_backdoor.core.seeding import Purpose, generator
from fl_backdoor.core.shares import share_of
from fl_backdoor.core.types import NO_CLASS
from fl_backdoor.data.samples import Change, Poison, Which, unchanged


class Poisoning(nn.Module, ABC):
    """Samples get the trigger and their target as label.

    The first samples of each batch are poisoned, as in the code of E. Bagdasaryan et al., How To Backdoor
    Federated Learning, AISTATS 2020, https://arxiv.org/abs/1807.00459: batches are shuffled, so that these
    are random ones. A smaller last batch has as many, or is poisoned whole. With `once` they are drawn from
    the client's data set instead, and are the same ones in every round. Being a module it takes its tensors
    along to a GPU.

    Parameters
    ----------
    targets
        For each class what its samples are to be taken for, int64 ``(num_classes,)``; `NO_CLASS`: they are
        left alone.
    once
        Whether the poisoned samples are drawn once.
    """

    uses_trigger: ClassVar[bool] = True
    """Whether poisoned samples, and those of the test, get the trigger."""

    relabels: ClassVar[bool] = True
    """Whether poisoned samples get their target as label; else they keep their own (clean label)."""

    targets: torch.Tensor

    def __init__(self, targets: NDArray[np.int64], *, once: bool = False) -> None:
        super().__init__()
        self.register_buffer("targets", torch.from_numpy(targets))
        self.once = once

    def poisoned_classes(self) -> NDArray[np.bool_]:
        """Return of which classes training samples are changed, bool ``(num_classes,)``."""
        poisoned: NDArray[np.bool_] = self.aims() != NO_CLASS
        return poisoned

    def aims(self) -> NDArray[np.int64]:
        """Return the targets in main memory."""
        found: NDArray[np.int64] = self.targets.cpu().numpy()
        return found

    def in_batches(self, trigger: Trigger, space: str, num_poisoned: int) -> Poison:
        """Return the change of training batches of which the first samples are poisoned.

        The same arguments give the same object, so that a step recorded on a GPU serves all attackers.

        Parameters
        ----------
        trigger
            What samples get.
        space
            ``pixel`` or ``normalized``: what the trigger's values are written into.
        num_poisoned
            The share α of a full batch. Among these, samples of a class that is not poisoned stay as they
            are.
        """
        return _in_batches(self, trigger, space, num_poisoned)

    def of_samples(self, trigger: Trigger | None, space: str, chosen: torch.Tensor) -> Poison:
        """Return the change of training batches in which the `chosen` of all stored samples are poisoned.

        `chosen` is bool ``(n,)``, on the samples' device; the rest is as for `in_batches`. `trigger` may be
        None where it is not used.
        """
        return _of_samples(self, trigger, space, chosen)

    def in_test(self, trigger: Trigger, space: str) -> Poison:
        """Return the change of a test batch: all samples get the trigger, labels stay true."""
        return _in_space(self._stamp(trigger), space, unchanged)

    def relabelled(self, labels: torch.Tensor) -> torch.Tensor:
        """Return what poisoned samples of these classes are labelled, int64 ``(n,)``."""
        return self.targets[labels] if self.relabels else labels

    def _stamp(self, trigger: Trigger | None) -> Change:
        if trigger is None or not self.uses_trigger:
            return unchanged
        return trigger.stamp

    def _which(self) -> Which | None:
        """Return which samples of a batch are of a poisoned class; None: all, whatever they are."""
        poisoned = self.poisoned_classes()
        if poisoned.all():
            return None
        table = torch.from_numpy(poisoned).to(self.targets.device)
        return lambda labels, indices: table[labels]


def drawn_once(num_samples: int, alpha: float, seed: int, client_id: int) -> NDArray[np.int64]:
    """Return which of its samples a client poisons if they are drawn once: places, int64 ``(n,)``."""
    order = generator(seed, Purpose.POISONED_SAMPLES, client_id).permutation(num_samples)
    return order[: share_of(num_samples, alpha)]


@lru_cache(maxsize=8)
def _in_batches(poisoning: Poisoning, trigger: Trigger, space: str, num_poisoned: int) -> Poison:
    def first(change: Change) -> Change:
        if change is unchanged:
            return change
        return lambda values: torch.cat([change(values[:num_poisoned]), values[num_poisoned:]])

    stamp, relabel = first(poisoning._stamp(trigger)), first(poisoning.relabelled)
    return _in_space(stamp, space, relabel, poisoning._which())


@lru_cache(maxsize=8)
def _of_samples(poisoning: Poisoning, trigger: Trigger | None, space: str, chosen: torch.Tensor) -> Poison:
    of_class = poisoning._which()

    def which(labels: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        return chosen[indices] if of_class is None else chosen[indices] & of_class(labels, indices)

    return _in_space(poisoning._stamp(trigger), space, poisoning.relabelled, which)


def _in_space(stamp: Change, space: str, labels: Change, which: Which | None = None) -> Poison:
    if space == "normalized":
        return Poison(in_normalized=stamp, labels=labels, which=which)
    return Poison(in_raw=stamp, labels=labels, which=which)
