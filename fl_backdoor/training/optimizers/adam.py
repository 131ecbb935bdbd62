"""Adam and AdamW.

D. P. Kingma and J. Ba, Adam: A Method for Stochastic Optimization, ICLR 2015, https://arxiv.org/abs/1412.6980,
algorithm 1. I. Loshchilov and F. Hutter, Decoupled Weight Decay Regularization, ICLR 2019,
https://arxiv.org/abs/1711.05101, algorithm 2: AdamW shrinks parameters by lr * weight_decay, where Adam adds
weight_decay * parameter to the gradient.
"""

from collections.abc import Sequence

import torch

from fl_backdoor.config.client import ClientConfig
from fl_backdoor.training.optimizers.base import Optimizer


class Adam(Optimizer):
    """Moves parameters along m / (√v + eps), for bias-corrected moving means m of gradients and v of squares.

    Equal to ``torch.optim.Adam`` and ``AdamW`` but for rounding: the number of steps lies in a tensor, so
    that a recorded step counts on.
    """

    def __init__(self, parameters: Sequence[torch.Tensor], settings: ClientConfig) -> None:
        super().__init__(parameters, settings)
        self.means = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.squares = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.taken = torch.zeros((), dtype=torch.float64, device=self.parameters[0].device)

    @property
    def state(self) -> list[torch.Tensor]:
        """The moving means, and how many steps there have been."""
        return [*self.means, *self.squares, self.taken]

    @torch.no_grad()
    def step(self, gradients: Sequence[torch.Tensor]) -> None:
        """Move the parameters once; `gradients` in their order, left as they are."""
        settings, moves = self.settings, list(gradients)
        if settings.weight_decay and settings.optimizer == "adamw":
            torch._foreach_mul_(self.parameters, 1 - self.learning_rate * settings.weight_decay)
        elif settings.weight_decay:
            moves = list(torch._foreach_add(moves, self.parameters, alpha=settings.weight_decay))
        self.taken.add_(1)
        torch._foreach_lerp_(self.means, moves, 1 - settings.beta1)
        torch._foreach_mul_(self.squares, settings.beta2)
        torch._foreach_addcmul_(self.squares, moves, moves, value=1 - settings.beta2)
        # In double precision: 1 - 0.999 would have four digits left in float32.
        dtype = self.parameters[0].dtype
        size = (-self.learning_rate / (1 - settings.beta1**self.taken)).to(dtype)
        correction = (1 - settings.beta2**self.taken).sqrt().to(dtype)
        roots = torch._foreach_sqrt(self.squares)
        torch._foreach_div_(roots, correction)
        torch._foreach_add_(roots, settings.eps)
        torch._foreach_div_(roots, size)
        torch._foreach_addcdiv_(self.parameters, self.means, roots)
