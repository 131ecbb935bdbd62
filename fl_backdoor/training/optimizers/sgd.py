"""Stochastic gradient descent with momentum and weight decay, equal to ``torch.optim.SGD`` bit for bit."""

from collections.abc import Sequence

import torch

from fl_backdoor.config.client import ClientConfig
from fl_backdoor.training.optimizers.base import Optimizer


class SGD(Optimizer):
    """Moves parameters along v = momentum * v + gradient + weight_decay * parameter, v = 0 at first.

    With Nesterov's momentum (I. Sutskever et al., On the Importance of Initialization and Momentum in Deep
    Learning, ICML 2013, in PyTorch's form) they move along gradient + momentum * v.
    """

    def __init__(self, parameters: Sequence[torch.Tensor], settings: ClientConfig) -> None:
        super().__init__(parameters, settings)
        self.velocities = [torch.zeros_like(parameter) for parameter in self.parameters]

    @property
    def state(self) -> list[torch.Tensor]:
        """All velocities."""
        return self.velocities

    @torch.no_grad()
    def step(self, gradients: Sequence[torch.Tensor]) -> None:
        """Move the parameters once; `gradients` in their order, left as they are."""
        settings, moves = self.settings, list(gradients)
        if settings.weight_decay:
            moves = list(torch._foreach_add(moves, self.parameters, alpha=settings.weight_decay))
        if settings.momentum:
            torch._foreach_mul_(self.velocities, settings.momentum)
            torch._foreach_add_(self.velocities, moves)
            if settings.nesterov:
                moves = list(torch._foreach_add(moves, self.velocities, alpha=settings.momentum))
            else:
                moves = self.velocities
        torch._foreach_add_(self.parameters, moves, alpha=-self.learning_rate)
