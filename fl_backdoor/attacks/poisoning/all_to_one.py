"""All to one, the article's poisoning: samples of any class get the trigger and the target's label.

T. Gu et al., BadNets, 2017, https://arxiv.org/abs/1708.06733, applied batch by batch. Some samples are of the
target's class already: about as large a share as of all the client's samples.
"""

import numpy as np

from fl_backdoor.attacks.poisoning.base import Poisoning


class AllToOne(Poisoning):
    """Every class has the same target.

    Parameters
    ----------
    num_classes, target_label
        Of the data set, and of the attack.
    once
        See `Poisoning`.
    """

    def __init__(self, num_classes: int, target_label: int, *, once: bool = False) -> None:
        super().__init__(np.full(num_classes, target_label, dtype=np.int64), once=once)
