"""Stochastic gradient descent with momentum and weight decay, equal to ``torch.optim.SGD`` bit for bit.

Written out because the first optimiser of ``torch.optim`` costs a process four seconds of imports, and
because its state has to stay where it is in memory for a CUDA graph.
"""

from collections.abc import Sequence

import torch

from fl_backdoor.config.schema import ClientConfig


class SGD:
    """Moves parameters along v = momentum * v + gradient + weight_decay * parameter, v = 0 at first.

    Parameters
    ----------
    parameters
        What is moved, in place.
    settings
        Learning rate, momentum and weight decay.

    Attributes
    ----------
    learning_rate
        Of the next step.
    """

    def __init__(self, parameters: Sequence[torch.Tensor], settings: ClientConfig) -> None:
        self.parameters = list(parameters)
        self.settings = settings
        self.learning_rate = settings.learning_rate
        self.velocities = [torch.zeros_like(parameter) for parameter in self.parameters]

    def reset(self) -> None:
        """Forget all velocities."""
        torch._foreach_zero_(self.velocities)

    @torch.no_grad()
    def step(self, gradients: Sequence[torch.Tensor]) -> None:
        """Move the parameters once; `gradients` in their order, left as they are."""
        moves = list(gradients)
        if self.settings.weight_decay:
            moves = list(torch._foreach_add(moves, self.parameters, alpha=self.settings.weight_decay))
        if self.settings.momentum:
            torch._foreach_mul_(self.velocities, self.settings.momentum)
            torch._foreach_add_(self.velocities, moves)
            moves = self.velocities
        torch._foreach_add_(self.parameters, moves, alpha=-self.learning_rate)
