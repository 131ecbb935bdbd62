"""Fine-tuning: the model is trained a little further on clean samples.

Y. Liu, Y. Xie and A. Srivastava, Neural Trojans, ICCD 2017, https://arxiv.org/abs/1710.00942, "re-training";
beside pruning in section 3 of K. Liu, B. Dolan-Gavitt and S. Garg, RAID 2018. Neither fixes an optimiser:
this is SGD as in BackdoorBench (rate 0.01 that falls along half a cosine, momentum 0.9, weight decay 5e-4),
for the 10 epochs and in the batches of 64 of NAD's authors (appendix A), where the benchmark takes 100 and
256. Deviation: samples are not augmented. What fine-tuning leaves is known to come back when training goes
on.

Cost: as many passes over the server's samples as there are epochs, on one core or a GPU.
"""

from typing import Unpack

import torch
from torch import nn

from fl_backdoor.core.types import Positive, PositiveCount
from strategies.removal.removal import Removal
from strategies.removal.training import half_a_cosine, settings_of, train
from strategies.robust_strategy import StrategyArguments

WEIGHT_DECAY = 5e-4


class FineTuning(Removal):
    """The model, trained on the server's own samples.

    Parameters
    ----------
    epochs
        Passes over the samples.
    batch_size
        Samples a step.
    rate
        The learning rate of the first epoch; it falls along half a cosine.
    every
        After how many rounds; None: after the last one.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    works_on = "anything"

    def __init__(
        self,
        *,
        epochs: PositiveCount = 10,
        batch_size: PositiveCount = 64,
        rate: Positive = 0.01,
        every: PositiveCount | None = None,
        **flower: Unpack[StrategyArguments],
    ) -> None:
        super().__init__(every=every, **flower)
        self.settings = settings_of(epochs, batch_size, rate, weight_decay=WEIGHT_DECAY)

    def remove(self, network: nn.Module, random: torch.Generator) -> None:
        """Train on cross-entropy."""
        train(network, self.root, self.settings, random, factor=half_a_cosine(self.settings.local_epochs))
