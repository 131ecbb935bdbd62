"""CLP: channels that a small change of their input may change most are pruned; it needs no data.

R. Zheng, R. Tang, J. Li and L. Liu, Data-free Backdoor Removal based on Channel Lipschitzness, ECCV 2022,
https://arxiv.org/abs/2208.03111, section 3.3 and algorithm 1. A trigger excites its channels strongly, so
these are sensitive. The upper bound of a channel's Lipschitz constant is the spectral norm of its kernel, as
a matrix (inputs, height * width), times |γ| / √(variance + ε) of the BatchNorm behind it, if there is one. In
each convolution channels above mean + u·std of these bounds are set to zero. u is 3, as on CIFAR-10; the
paper takes 5 on Tiny-ImageNet.

A channel can be (n - 1)/√n standard deviations above the mean of n, so that with u = 3 nothing is pruned
of a convolution of ten channels or fewer.

Deviations from the authors' code:

- ε is counted, as the network counts it, and which BatchNorm belongs to which convolution is seen by passing
  an image of zeros through the network: theirs takes the convolution that was defined before.
- Convolutions without BatchNorm are judged as well, by their kernels alone, as algorithm 1 has it.
- The kernel is set to zero beside γ and β, so that training does not bring the channel back.
- Linear layers are left as they are, as in theirs.

Cost: a small singular value decomposition a channel.
"""

from typing import Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fl_backdoor.core.types import NonNegative, PositiveCount
from strategies.numerics.rounding import exceeds
from strategies.removal.channels import Channels, channels_of
from strategies.removal.removal import Removal
from strategies.robust_strategy import StrategyArguments


class CLP(Removal):
    """The model without its most sensitive channels.

    Parameters
    ----------
    u
        How many standard deviations above the mean of its convolution a channel is pruned.
    every
        After how many rounds; None: after the last one.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    needs = "network"

    def __init__(
        self,
        *,
        u: NonNegative = 3.0,
        every: PositiveCount | None = None,
        **flower: Unpack[StrategyArguments],
    ) -> None:
        super().__init__(every=every, **flower)
        self.u = u

    def remove(self, network: nn.Module, random: torch.Generator) -> None:
        """Prune each convolution by itself, as they all were at first."""
        for channels in channels_of(network, self.bench.input_shape):
            channels.silence(torch.from_numpy(sensitive(lipschitz_bounds(channels), self.u)))


def sensitive(bounds: NDArray[np.float64], u: float) -> NDArray[np.intp]:
    """Return which channels are to be pruned, by number.

    Parameters
    ----------
    bounds
        Of one convolution's channels, ``(n_channels,)``.
    u
        How many standard deviations, those of a sample of n as in the authors' code, are allowed.
    """
    if len(bounds) == 1:
        return np.zeros(0, dtype=np.intp)
    return np.flatnonzero(exceeds(bounds, float(bounds.mean() + u * bounds.std(ddof=1))))


@torch.no_grad()
def lipschitz_bounds(channels: Channels) -> NDArray[np.float64]:
    """Return the upper bound of each channel's Lipschitz constant, ``(n_channels,)``."""
    kernels = channels.convolution.weight.double().cpu().flatten(start_dim=2)
    bounds = torch.linalg.matrix_norm(kernels, ord=2)
    if channels.norm is not None:
        norm = channels.norm
        assert norm.running_var is not None
        bounds *= (norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()).abs().cpu()
    found: NDArray[np.float64] = bounds.numpy()
    return found
