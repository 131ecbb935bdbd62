"""Attacks and their parts: triggers, poisoning, training, updates, schedule; no strategy, no client.

>>> from fl_backdoor.attacks import AllToOne, Patch, PoisonedDataset
>>> trigger = Patch((1, 28, 28))
>>> poisoned = PoisonedDataset(clean, AllToOne(10, target_label=0), trigger, alpha=0.3)
"""

from typing import TYPE_CHECKING

from fl_backdoor.core.exports import exported

if TYPE_CHECKING:
    from fl_backdoor.attacks.knowledge import Knowledge
    from fl_backdoor.attacks.poisoning.all_to_one import AllToOne
    from fl_backdoor.attacks.poisoning.base import Poisoning
    from fl_backdoor.attacks.poisoning.dataset import PoisonedDataset
    from fl_backdoor.attacks.poisoning.label_flip import LabelFlip
    from fl_backdoor.attacks.poisoning.source_to_target import SourceToTarget
    from fl_backdoor.attacks.schedule import Schedule
    from fl_backdoor.attacks.triggers.bar import Bar
    from fl_backdoor.attacks.triggers.base import Trigger
    from fl_backdoor.attacks.triggers.blended import Blended
    from fl_backdoor.attacks.triggers.distributed import Distributed
    from fl_backdoor.attacks.triggers.drawing import Drawing
    from fl_backdoor.attacks.triggers.on_normalized import OnNormalized
    from fl_backdoor.attacks.triggers.patch import Patch
    from fl_backdoor.attacks.triggers.sinusoidal import Sinusoidal
    from fl_backdoor.attacks.triggers.warping import Warping
    from fl_backdoor.attacks.triggers.word import Word
    from fl_backdoor.attacks.updates.applied import manipulated
    from fl_backdoor.attacks.updates.base import Manipulation
    from fl_backdoor.attacks.updates.imitation import Imitation
    from fl_backdoor.attacks.updates.noise import Noise
    from fl_backdoor.attacks.updates.partial import Partial
    from fl_backdoor.attacks.updates.scaling import Scaling

__all__ = [
    "AllToOne",
    "Bar",
    "Blended",
    "Distributed",
    "Drawing",
    "Imitation",
    "Knowledge",
    "LabelFlip",
    "Manipulation",
    "Noise",
    "OnNormalized",
    "Partial",
    "Patch",
    "PoisonedDataset",
    "Poisoning",
    "Scaling",
    "Schedule",
    "Sinusoidal",
    "SourceToTarget",
    "Trigger",
    "Warping",
    "Word",
    "manipulated",
]

_HOMES = {
    "fl_backdoor.attacks.knowledge": ("Knowledge",),
    "fl_backdoor.attacks.poisoning.all_to_one": ("AllToOne",),
    "fl_backdoor.attacks.poisoning.base": ("Poisoning",),
    "fl_backdoor.attacks.poisoning.dataset": ("PoisonedDataset",),
    "fl_backdoor.attacks.poisoning.label_flip": ("LabelFlip",),
    "fl_backdoor.attacks.poisoning.source_to_target": ("SourceToTarget",),
    "fl_backdoor.attacks.schedule": ("Schedule",),
    "fl_backdoor.attacks.triggers.bar": ("Bar",),
    "fl_backdoor.attacks.triggers.base": ("Trigger",),
    "fl_backdoor.attacks.triggers.blended": ("Blended",),
    "fl_backdoor.attacks.triggers.distributed": ("Distributed",),
    "fl_backdoor.attacks.triggers.drawing": ("Drawing",),
    "fl_backdoor.attacks.triggers.on_normalized": ("OnNormalized",),
    "fl_backdoor.attacks.triggers.patch": ("Patch",),
    "fl_backdoor.attacks.triggers.sinusoidal": ("Sinusoidal",),
    "fl_backdoor.attacks.triggers.warping": ("Warping",),
    "fl_backdoor.attacks.triggers.word": ("Word",),
    "fl_backdoor.attacks.updates.applied": ("manipulated",),
    "fl_backdoor.attacks.updates.base": ("Manipulation",),
    "fl_backdoor.attacks.updates.imitation": ("Imitation",),
    "fl_backdoor.attacks.updates.noise": ("Noise",),
    "fl_backdoor.attacks.updates.partial": ("Partial",),
    "fl_backdoor.attacks.updates.scaling": ("Scaling",),
}
"""Where each public name is at home; the bench imports what a run is made of, and nothing else."""

__getattr__ = exported(__name__, _HOMES)
