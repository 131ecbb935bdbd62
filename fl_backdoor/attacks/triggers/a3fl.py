"""A3FL: a patch that is optimised against the global model each round, and against models that unlearn it.

H. Zhang, J. Jia, J. Chen, L. Lin, D. Wu, A3FL: Adversarially Adaptive Backdoor Attacks to Federated Learning,
NeurIPS 2023, section 4: the trigger minimises ``L(x + trigger, target; theta) + lambda L(x + trigger, target;
theta')`` by projected steps along the sign of the gradient. ``theta'`` is the global model theta, trained on
``(x + trigger, true label)``, which is what a server does at worst; ``lambda = lambda_0 cos(theta, theta')``.

Deviations, beside the authors' code (fl_utils/attacker.py of hfzhang31/A3FL): the square is theirs, 5 x 5 at
(2, 2), grey at first, but pixels stay in [0, 1], where theirs go from -2 to 2 after normalisation. ``theta'``
takes one step of plain SGD for each step of the trigger, in evaluation mode, where theirs is trained anew for
five epochs with momentum before each of 200 epochs of steps of 0.01. Theirs weighs by the cosine of both
models' gradients in the convolutions and by 0.01; here it is that of the parameters, as in the paper, and
`balance`. The colluding attackers average their triggers (see `adaptive`).
"""

import copy
from collections.abc import Iterator
from itertools import islice

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import nn

from fl_backdoor.attacks.triggers.adaptive import AdaptiveTrigger
from fl_backdoor.attacks.triggers.square import check_square
from fl_backdoor.core.types import Count, NonNegative, Positive, PositiveCount, Ratio
from fl_backdoor.data.samples import Batch


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

    Raises
    ------
    ConfigError
        If the square does not lie within the image.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        size: PositiveCount = 5,
        margin: Count = 2,
        steps: PositiveCount = 40,
        step_size: Ratio = 0.02,
        unlearning_rate: Positive = 0.01,
        balance: NonNegative = 1.0,
    ) -> None:
        super().__init__()
        check_square(size, margin, image_shape)
        pattern = torch.full((image_shape[0], size, size), 0.5)
        self.pattern = nn.Parameter(pattern, requires_grad=False)
        self.square = slice(margin, margin + size)
        self.steps = steps
        self.step_size = step_size
        self.unlearning_rate = unlearning_rate
        self.balance = balance

    def stamp(self, images: torch.Tensor) -> torch.Tensor:
        """Return copies of `images` with the square on them."""
        stamped = images.clone()
        stamped[:, :, self.square, self.square] = self.pattern
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
