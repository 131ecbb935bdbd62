"""Dirty-label poisoning: some samples of each batch get the trigger and the target's label.

The article's attack, after T. Gu et al., BadNets, 2017, https://arxiv.org/abs/1708.06733, applied batch by
batch as in E. Bagdasaryan et al., How To Backdoor Federated Learning, AISTATS 2020,
https://arxiv.org/abs/1807.00459.
"""

from functools import lru_cache

import torch

from fl_backdoor.attacks.triggers.base import Trigger
from fl_backdoor.data.samples import Change, Poison, unchanged


@lru_cache(maxsize=8)
def stamp_and_relabel(trigger: Trigger, num_stamped: int, target_label: int, space: str) -> Poison:
    """Return the change of a batch whose first `num_stamped` samples are poisoned.

    The same arguments give the same object, so that a step recorded on a GPU serves all attackers.
    Batches are shuffled, so the first samples are random ones: some of them have the target's class already,
    about as large a share as of all the client's samples. The last batch of an epoch is smaller and has as
    many stamped samples, or is poisoned whole, as in the authors' code.

    Parameters
    ----------
    trigger
        What is stamped.
    num_stamped
        The share alpha of a full batch.
    target_label
        Their new label.
    space
        ``pixel`` or ``normalized``: what the trigger's values are written into.
    """

    def stamp(samples: torch.Tensor) -> torch.Tensor:
        return torch.cat([trigger.stamp(samples[:num_stamped]), samples[num_stamped:]])

    def relabel(labels: torch.Tensor) -> torch.Tensor:
        changed = labels.clone()
        changed[:num_stamped].fill_(target_label)
        return changed

    return _in_space(stamp, space, labels=relabel)


def stamp_all(trigger: Trigger, space: str) -> Poison:
    """Return the change of a test batch: every sample is stamped, labels stay true."""
    return _in_space(trigger.stamp, space, labels=unchanged)


def _in_space(stamp: Change, space: str, labels: Change) -> Poison:
    if space == "normalized":
        return Poison(in_normalized=stamp, labels=labels)
    return Poison(in_raw=stamp, labels=labels)
