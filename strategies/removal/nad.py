"""NAD, neural attention distillation: a fine-tuned copy teaches the model where to look.

Y. Li, X. Lyu, N. Koren, L. Lyu, B. Li and X. Ma, Neural Attention Distillation: Erasing Backdoor Triggers
from Deep Neural Networks, ICLR 2021, https://arxiv.org/abs/2101.05930, section 3.2. The teacher is a copy of
the model, fine-tuned on clean samples; the model is the student. A layer's attention map is Σ_c |F_c|² over
its channels (A²_sum), divided by its L2 norm. Equation 4: cross-entropy plus, for each of three layers, β
times the difference of the two maps. Settings are the authors' code's: β = 500, 1000, 1000 from low to high
layers, the difference a mean of squares over positions and samples, 20 epochs of SGD in batches of 64,
Nesterov's momentum 0.9, weight decay 1e-4, rate 0.1 in the first two epochs and a tenth of it afterwards; the
teacher has the same with β = 0, for 10 epochs.

Deviations:

- Which layers: of each size that feature maps have on their way, the last map of that size, which in a
  residual network is what a group of blocks puts out; of these the last three. Maps of one position say
  nothing and are left out; a network that has fewer goes by the last of the βs.
- Equation 3 has a norm where the code, whose βs these are, has a mean of squares.
- Samples are not augmented.

Cost: 10 passes over the server's samples for the teacher, and 20, each with the teacher's pass beside it.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Unpack

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import nn

from fl_backdoor.core.types import NonNegative, Positive, PositiveCount
from strategies.removal.removal import Removal
from strategies.removal.training import LossOf, settings_of, train
from strategies.robust_strategy import StrategyArguments

WEIGHT_DECAY = 1e-4

FULL_EPOCHS, LATER_FACTOR = 2, 0.1
"""For so many epochs the learning rate is whole, then a tenth."""

SMALLEST_NORM = 1e-6
"""Is added to a map's norm, as in the authors' code."""

Maps = dict[torch.Size, torch.Tensor]
"""By height and width the last feature maps of that size, ``(n, channels, height, width)``, in order."""


class NAD(Removal):
    """The model, trained to attend to what its fine-tuned copy attends to.

    Parameters
    ----------
    beta_low, beta_middle, beta_high
        β, what the difference of attention maps counts beside cross-entropy, in low and high layers.
    epochs, teacher_epochs
        Passes over the samples for the model, and before for its teacher.
    batch_size
        Samples a step.
    rate
        The learning rate of the first two epochs.
    every
        After how many rounds; None: after the last one.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    def __init__(
        self,
        *,
        beta_low: NonNegative = 500.0,
        beta_middle: NonNegative = 1000.0,
        beta_high: NonNegative = 1000.0,
        epochs: PositiveCount = 20,
        teacher_epochs: PositiveCount = 10,
        batch_size: PositiveCount = 64,
        rate: Positive = 0.1,
        every: PositiveCount | None = None,
        **flower: Unpack[StrategyArguments],
    ) -> None:
        super().__init__(every=every, **flower)
        self.betas = (beta_low, beta_middle, beta_high)
        self.settings, self.teacher_settings = (
            settings_of(count, batch_size, rate, weight_decay=WEIGHT_DECAY, nesterov=True)
            for count in (epochs, teacher_epochs)
        )

    def remove(self, network: nn.Module, random: torch.Generator) -> None:
        """Fine-tune a copy, and have it teach the network."""
        teacher = copy.deepcopy(network)
        train(teacher, self.root, self.teacher_settings, random, factor=falling_rate)
        with observed(network) as seen, observed(teacher) as taught:

            def loss_of(inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
                with torch.no_grad():
                    teacher(inputs)
                loss = F.cross_entropy(network(inputs), labels)
                return loss + distillation_loss(seen, taught, self.betas)

            distilled: LossOf = loss_of
            train(network, self.root, self.settings, random, factor=falling_rate, loss_of=distilled)


def falling_rate(epoch: int) -> float:
    """Return what the learning rate of an epoch, counted from 0, is multiplied by."""
    return 1.0 if epoch < FULL_EPOCHS else LATER_FACTOR


@contextmanager
def observed(network: nn.Module) -> Iterator[Maps]:
    """Yield what holds the feature maps of the network's latest pass."""
    seen: Maps = {}

    def note(layer: nn.Module, inputs: object, output: object) -> None:
        if isinstance(output, torch.Tensor) and output.dim() == 4:
            seen[output.shape[2:]] = output

    hooks = [layer.register_forward_hook(note) for layer in network.modules()]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def distillation_loss(student: Maps, teacher: Maps, betas: tuple[float, ...]) -> torch.Tensor:
    """Return the sum over the last layers of β times the difference of attention maps."""
    sizes = [size for size in student if size.numel() > 1][-len(betas) :]
    if not sizes:
        return torch.zeros(())
    differences = [F.mse_loss(attention_map(student[size]), attention_map(teacher[size])) for size in sizes]
    weights = betas[len(betas) - len(sizes) :]
    return torch.stack([beta * each for beta, each in zip(weights, differences, strict=True)]).sum()


def attention_map(features: torch.Tensor) -> torch.Tensor:
    """Return Σ_c |F_c|² of maps ``(n, channels, height, width)``, of norm 1, ``(n, height * width)``."""
    attention = features.square().sum(dim=1).flatten(start_dim=1)
    lengths = torch.linalg.vector_norm(attention, dim=1, keepdim=True)
    normalised: torch.Tensor = attention / (lengths + SMALLEST_NORM)
    return normalised
