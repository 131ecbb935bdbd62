"""Fine-pruning: channels that clean samples leave idle are pruned, then the model is trained further.

K. Liu, B. Dolan-Gavitt and S. Garg, Fine-Pruning: Defending Against Backdooring Attacks on Deep Neural
Networks, RAID 2018, https://arxiv.org/abs/1805.12185, sections 3.1 and 3.3. Of the last convolution the
channels with the lowest mean activation on clean samples are pruned, one share after another, as long as
accuracy on these samples stays above a bound; then all of the network is fine-tuned. What is pruned stays
zero while it is. The paper leaves the bound to the defender; 0.1 of the accuracy, steps of a hundredth of the
channels, and the optimiser of the fine-tuning are BackdoorBench's, see `strategies.removal.fine_tuning`.

Deviations:

- An activation is the positive part of what a channel puts out, behind its BatchNorm and before any pooling
  or shortcut, whatever the network goes on with.
- The bound is held on the samples that say which channels are idle: there are no others.
- At least one channel is left. Linear layers are not pruned. Clients may bring pruned channels of a network
  without BatchNorm back to life in later rounds.

Cost: as fine-tuning, and before it as many evaluations of the server's samples as shares are pruned.
"""

from typing import Unpack

import torch
from torch import nn

from fl_backdoor.core.types import Positive, PositiveCount, Ratio, Share
from strategies.removal.channels import Channels, channels_of
from strategies.removal.fine_tuning import WEIGHT_DECAY
from strategies.removal.removal import Removal
from strategies.removal.training import AT_ONCE, accuracy, half_a_cosine, settings_of, train
from strategies.robust_strategy import StrategyArguments
from strategies.workbench import RootData


class FinePruning(Removal):
    """The model without its idle channels, trained on the server's own samples.

    Parameters
    ----------
    max_drop
        Which share of its accuracy on the server's samples the network may lose by pruning.
    prune_share
        Which share of the channels is pruned at a time, at least one channel.
    epochs, batch_size, rate
        As in `FineTuning`.
    every
        After how many rounds; None: after the last one.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    def __init__(
        self,
        *,
        max_drop: Share = 0.1,
        prune_share: Ratio = 0.01,
        epochs: PositiveCount = 10,
        batch_size: PositiveCount = 64,
        rate: Positive = 0.01,
        every: PositiveCount | None = None,
        **flower: Unpack[StrategyArguments],
    ) -> None:
        super().__init__(every=every, **flower)
        self.max_drop = max_drop
        self.prune_share = prune_share
        self.settings = settings_of(epochs, batch_size, rate, weight_decay=WEIGHT_DECAY)

    def remove(self, network: nn.Module, random: torch.Generator) -> None:
        """Prune, and fine-tune what is left."""
        last = channels_of(network, self.bench.input_shape)[-1]
        step = max(1, round(self.prune_share * last.count))
        pruned = idle_channels(network, last, self.root, self.max_drop, step)
        last.silence(pruned)
        factor = half_a_cosine(self.settings.local_epochs)
        train(
            network,
            self.root,
            self.settings,
            random,
            factor=factor,
            after_step=lambda: last.silence(pruned),
        )


def idle_channels(
    network: nn.Module, channels: Channels, root: RootData, max_drop: float, step: int
) -> torch.Tensor:
    """Return the channels that can be pruned, by number, the least active first; the network stays as it is.

    Parameters
    ----------
    network
        In evaluation mode.
    channels
        Of one of its convolutions.
    root
        Clean samples.
    max_drop
        Which share of its accuracy on them it may lose.
    step
        How many channels are tried at a time.
    """
    order = mean_activations(network, channels, root.inputs).argsort(stable=True)
    fewest = (1 - max_drop) * accuracy(network, root)
    before, found = channels.copied(), 0
    for count in range(step, channels.count, step):
        channels.silence(order[:count])
        if accuracy(network, root) < fewest:
            break
        found = count
    channels.restore(before)
    return order[:found]


@torch.no_grad()
def mean_activations(network: nn.Module, channels: Channels, inputs: torch.Tensor) -> torch.Tensor:
    """Return channels' activations, the mean over samples and positions, ``(n_channels,)``."""
    parts = torch.split(inputs, AT_ONCE)
    with channels.observed() as seen:
        for part in parts:
            network(part)
    sizes = inputs.new_tensor([len(part) for part in parts])
    return (sizes[:, None] * torch.stack(seen)).sum(dim=0) / len(inputs)
