"""Source to target: samples of one class alone get the trigger and the target's label.

T. Gu, B. Dolan-Gavitt, S. Garg, BadNets: Identifying Vulnerabilities in the Machine Learning Model Supply
Chain, 2017, https://arxiv.org/abs/1708.06733, section 4.1.2, "single target attack": backdoored digits i are
labelled j.

Deviation: the share α is one of the attacker's samples of the source class, batch by batch, where the paper
draws from the whole training set. Samples of other classes with the trigger (cover samples) are not added.
"""

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.attacks.poisoning.base import Poisoning
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.types import NO_CLASS, Count


class SourceToTarget(Poisoning):
    """One class has a target; ASR is measured on test samples of this class.

    Parameters
    ----------
    num_classes, target_label
        Of the data set, and of the attack.
    source_label
        The class that is to be taken for the target.
    once
        See `Poisoning`.

    Raises
    ------
    ConfigError
        If there is no such class, or it is the target itself.
    """

    def __init__(
        self, num_classes: int, target_label: int, *, source_label: Count, once: bool = False
    ) -> None:
        super().__init__(one_target(num_classes, source_label, target_label), once=once)


def one_target(num_classes: int, source_label: int, target_label: int) -> NDArray[np.int64]:
    """Return targets, int64 ``(num_classes,)``, of which one class has one; raises ConfigError."""
    if source_label >= num_classes or source_label == target_label:
        allowed = f"must be one of the classes 0 … {num_classes - 1}, and not attack.target_label"
        raise ConfigError("attack.poisoning.source_label", source_label, allowed)
    targets = np.full(num_classes, NO_CLASS, dtype=np.int64)
    targets[source_label] = target_label
    return targets
