"""A3FL: a patch that is optimised against the global model each round, and against models that unlearn it.

H. Zhang, J. Jia, J. Chen, L. Lin, D. Wu, A3FL: Adversarially Adaptive Backdoor Attacks to Federated
Learning, NeurIPS 2023, section 4: the trigger minimises ``L(x + trigger, target; theta) + lambda L(x +
trigger, target; theta')`` by projected steps along the sign of the gradient. ``theta'`` is the global model
theta, trained on ``(x + trigger, true label)``, which is what a server does at worst; ``lambda = lambda_0
cos(theta, theta')``.

Deviations: ``theta'`` takes one step of training for each step of the trigger, where the paper trains it
for whole epochs by turns; the colluding attackers average their triggers (see `adaptive`).
"""

import copy
from collections.abc import Iterator
from itertools import islice

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import nn

from fl_backdoor.attacks.triggers.adaptive import AdaptiveTrigger
from fl_backdoor.errors import ConfigError
from fl_backdoor.samples import Batch
from fl_backdoor.types import Count, NonNegative, Positive, PositiveCount


class A3FL(AdaptiveTrigger):
    """A square of free pixels, grey at first.

    Parameters
    ----------
    image_shape
        Channels, height, width of the images.
    size
        Rows and columns of the square.
    margin
        Pixels between the square and the top and left edges.
    steps
        Steps of the trigger a round.
    step_size
        How far each pixel moves in a step, in units of [0, 1].
    unlearning_rate
        Learning rate of ``theta'``.
    balance
        lambda_0.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        size: PositiveCount = 5,
        margin: Count = 2,
        steps: PositiveCount = 40,
        step_size: Positive = 0.02,
        unlearning_rate: Positive = 0.01,
        balance: NonNegative = 1.0,
    ) -> None:
        super().__init__()
        channels, height, width = image_shape
        room = min(height, width) - margin
        if size > room:
            raise ConfigError(
                "attack.trigger.size", size, f"must be at most {room} with a margin of {margin}"
            )
        self.pattern = nn.Parameter(torch.full((channels, size, size), 0.5), requires_grad=False)
        self.place = slice(margin, margin + size)
        self.steps = steps
        self.step_size = step_size
        self.unlearning_rate = unlearning_rate
        self.balance = balance

    def stamp(self, images: torch.Tensor) -> torch.Tensor:
        """Return copies of `images` with the square on them."""
        stamped = images.clone()
        stamped[:, :, self.place, self.place] = self.pattern
        return stamped

    def learn(self, model: nn.Module, batches: Iterator[Batch], target_label: int) -> None:
        """Take `steps` steps, each after one of the model that unlearns the trigger."""
        unlearning = copy.deepcopy(model).requires_grad_(requires_grad=True)
        for pixels, labels in islice(batches, self.steps):
            self._unlearn(unlearning, pixels, labels)
            target = torch.full_like(labels, target_label)
            stamped = self.stamp(pixels)
            loss = F.cross_entropy(model(stamped), target)
            weight = self.balance * _cosine(model, unlearning)
            loss = loss + weight * F.cross_entropy(unlearning(stamped), target)
            [gradient] = torch.autograd.grad(loss, [self.pattern])
            with torch.no_grad():
                self.pattern.sub_(self.step_size * gradient.sign()).clamp_(0, 1)

    def _unlearn(self, model: nn.Module, pixels: torch.Tensor, labels: torch.Tensor) -> None:
        parameters = list(model.parameters())
        with torch.no_grad():
            stamped = self.stamp(pixels)
        gradients = torch.autograd.grad(F.cross_entropy(model(stamped), labels), parameters)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.sub_(self.unlearning_rate * gradient)


def _cosine(first: nn.Module, second: nn.Module) -> torch.Tensor:
    one, other = (
        torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
        for model in (first, second)
    )
    return F.cosine_similarity(one, other, dim=0)
