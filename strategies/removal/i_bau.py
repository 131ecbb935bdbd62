"""I-BAU: the model unlearns the worst perturbation that all images can be given at once.

Y. Zeng, S. Chen, W. Park, Z. M. Mao, M. Jin and R. Jia, Adversarial Unlearning of Backdoors via Implicit
Hypergradient, ICLR 2022, https://arxiv.org/abs/2110.03735, equations 1 and 2 and algorithm 1:

    min_θ max_{‖δ‖ ≤ C} H(δ, θ),  H = the mean loss of f_θ(x_i + δ)

In each of 5 rounds δ is found from zero by a pass of gradient ascent over the clean samples, then θ takes
a step of Adam for each batch along the hypergradient: the gradient of H in θ plus that by way of δ(θ), which
follows from the implicit function theorem by 5 terms of a fixed-point iteration (R. Grazzi et al., On the
Iteration Complexity of Hypergradient Computation, ICML 2020). Settings are the authors' code's: rate 1e-3,
batches of 100, ascent by steps of 10 on the loss for the model's own predictions less 0.001·‖δ‖², C = 10 as
in their notebook, the map of the fixed point a step of 0.1, δ on a hundredth of a batch in the outer loss.
The network stays in evaluation mode, and BatchNorm's statistics as they are.

Deviations:

- δ is added to normalised images, where theirs are in [0, 1]: it is larger by one over their deviation.
- At least one image of a batch has δ in the outer loss; theirs has none in batches below 100.
- The map of the fixed point is that of the batch at hand; in theirs it is that of the first one.

Cost: 5 rounds of a pass of ascent, and of about 8 backward passes a batch through twice the graph.
"""

from collections.abc import Callable, Sequence
from typing import Unpack

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import nn

from fl_backdoor.config.client import ClientConfig
from fl_backdoor.core.types import Positive, PositiveCount
from fl_backdoor.training.optimizers.choice import optimizer_of
from strategies.removal.removal import Removal
from strategies.removal.training import batches
from strategies.robust_strategy import StrategyArguments
from strategies.workbench import RootData

ASCENT_STEP = 10.0
"""Of δ, in each batch of its pass."""

MAP_STEP = 0.1
"""Of the map whose fixed point δ is."""

PENALTY = 0.001
"""What ‖δ‖² is multiplied by in the inner loss."""

PERTURBED_SHARE = 0.01
"""Which share of a batch has δ in the outer loss."""

Loss = Callable[[torch.Tensor], torch.Tensor]
"""Of a perturbation, ``(channels, height, width)``."""


class IBAU(Removal):
    """The model, hardened against the worst universal perturbation.

    Parameters
    ----------
    rounds
        How often a new perturbation is found.
    terms
        Of the fixed-point iteration.
    batch_size
        Samples a step.
    rate
        Adam's learning rate.
    radius
        C, the longest perturbation in L2, of normalised images.
    every
        After how many rounds of the federation; None: after the last one.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    works_on = "images"

    def __init__(
        self,
        *,
        rounds: PositiveCount = 5,
        terms: PositiveCount = 5,
        batch_size: PositiveCount = 100,
        rate: Positive = 0.001,
        radius: Positive = 10.0,
        every: PositiveCount | None = None,
        **flower: Unpack[StrategyArguments],
    ) -> None:
        super().__init__(every=every, **flower)
        self.rounds = rounds
        self.terms = terms
        self.radius = radius
        self.settings = ClientConfig(
            learning_rate=rate,
            momentum=0.0,
            weight_decay=0.0,
            batch_size=batch_size,
            local_epochs=rounds,
            optimizer="adam",
        )

    def remove(self, network: nn.Module, random: torch.Generator) -> None:
        """Find the perturbation and unlearn it, in turns."""
        parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        optimizer, size = optimizer_of(parameters, self.settings), self.settings.batch_size
        for _ in range(self.rounds):
            delta = universal_perturbation(network, self.root, size, self.radius, random)
            for inputs, labels in batches(self.root, size, random):
                perturbed = torch.zeros(len(labels), 1, 1, 1, device=inputs.device)
                count = max(1, int(PERTURBED_SHARE * len(labels)))
                perturbed[torch.randperm(len(labels), generator=random)[:count]] = 1
                gradients = hypergradient(
                    lambda delta: inner_loss(network, inputs, labels, delta),  # noqa: B023 - used at once
                    lambda delta: F.cross_entropy(network(inputs + perturbed * delta), labels),  # noqa: B023
                    delta,
                    parameters,
                    step=MAP_STEP,
                    terms=self.terms,
                )
                optimizer.step(gradients)


def inner_loss(
    network: nn.Module, inputs: torch.Tensor, labels: torch.Tensor, delta: torch.Tensor
) -> torch.Tensor:
    """Return what δ makes small: minus the loss on images that have it, plus its own length."""
    return PENALTY * delta.square().sum() - F.cross_entropy(network(inputs + delta), labels)


def universal_perturbation(
    network: nn.Module, root: RootData, batch_size: int, radius: float, random: torch.Generator
) -> torch.Tensor:
    """Return δ after a pass of ascent, ``(channels, height, width)``, no longer than `radius`."""
    delta = torch.zeros_like(root.inputs[0])
    for inputs, _ in batches(root, batch_size, random):
        with torch.no_grad():
            predicted = network(inputs).argmax(dim=1)
        delta.requires_grad_()
        [slope] = torch.autograd.grad(inner_loss(network, inputs, predicted, delta), delta)
        delta = (delta - ASCENT_STEP * slope).detach()
    return delta * (radius / max(float(delta.norm()), radius))


def hypergradient(
    inner: Loss,
    outer: Loss,
    delta: torch.Tensor,
    parameters: Sequence[torch.Tensor],
    *,
    step: float,
    terms: int,
) -> list[torch.Tensor]:
    """Return the gradient in θ of outer(δ(θ), θ), where δ(θ) makes inner(δ, θ) small.

    With Φ = δ - step·∂inner/∂δ, whose fixed point δ(θ) is, it is ∂outer/∂θ + (∂Φ/∂θ)ᵀv; v sums the first
    `terms` of Neumann's series for (1 - ∂Φ/∂δ)⁻ᵀ ∂outer/∂δ.

    Parameters
    ----------
    inner, outer
        Both depend on `parameters` as well.
    delta
        Where all derivatives are taken.
    parameters
        θ.
    """
    delta = delta.detach().requires_grad_()
    of_delta, *direct = torch.autograd.grad(outer(delta), [delta, *parameters], materialize_grads=True)
    [slope] = torch.autograd.grad(inner(delta), delta, create_graph=True)
    mapped = delta - step * slope
    v = of_delta  # products are written as sums: `grad_outputs` costs a process four seconds of imports
    for _ in range(terms - 1):
        [further] = torch.autograd.grad((mapped * v).sum(), delta, retain_graph=True)
        v = further + of_delta
    indirect = torch.autograd.grad((mapped * v).sum(), parameters, materialize_grads=True)
    return [one + other for one, other in zip(direct, indirect, strict=True)]
