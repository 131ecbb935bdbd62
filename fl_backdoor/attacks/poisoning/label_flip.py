"""Label flip: samples of one class get another label, and nothing else is changed.

V. Tolpegin, S. Truex, M. E. Gursoy, L. Liu, Data Poisoning Attacks Against Federated Learning Systems,
ESORICS 2020, https://arxiv.org/abs/2007.08432, section 3.1: malicious clients change all labels of a source
class to the target's.

Deviation: with α < 1 not all, but this share of them in each batch.
"""

from typing import ClassVar

from fl_backdoor.attacks.poisoning.source_to_target import SourceToTarget


class LabelFlip(SourceToTarget):
    """One class has a target, without a trigger: ASR is how many of its test samples are taken for it."""

    uses_trigger: ClassVar[bool] = False
