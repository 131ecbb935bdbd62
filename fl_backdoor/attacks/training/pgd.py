"""PGD: the attacker's model is projected onto a ball around the global model, again and again.

H. Wang et al., Attack of the Tails: Yes, You Really Can Backdoor Federated Learning, NeurIPS 2020,
https://arxiv.org/abs/2007.05084, section 3, "PGD attack"; together with ``attack.boost_factor`` it is their
"PGD attack with model replacement", in which the projected model is scaled.

Deviations: the authors' code projects when the number of the batch, from 0, is a multiple of 10, and after
the last batch of each epoch; here after every tenth step and after the last one of the round. The ball is
over trained parameters, as theirs.
"""

from collections.abc import Sequence

import torch

from fl_backdoor.attacks.training.base import Constraint, Start
from fl_backdoor.core.types import Positive, PositiveCount


class PGD(Constraint):
    """Projection onto an L2 ball around the global model.

    Parameters
    ----------
    radius
        Of the ball; epsilon in the paper.
    every
        Steps from one projection to the next; the last step of a round is always followed by one.
    """

    def __init__(self, *, radius: Positive = 2.0, every: PositiveCount = 10) -> None:
        self.radius = radius
        self.every = every
        self._parameters: Sequence[torch.Tensor] = []
        self._centre: list[torch.Tensor] = []

    def begin(self, start: Start) -> None:
        """Remember the global model."""
        self._parameters = start.parameters
        self._centre = [parameter.detach().clone() for parameter in start.parameters]

    @torch.no_grad()
    def after_step(self, taken: int, num_steps: int) -> None:
        """Project the parameters if it is time to."""
        if taken % self.every and taken != num_steps:
            return
        movement = torch._foreach_sub(list(self._parameters), self._centre)
        length = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(movement)))
        torch._foreach_mul_(movement, self.radius / length)
        for parameter, centre, moved in zip(self._parameters, self._centre, movement, strict=True):
            # Rather than a decision, which would wait for the GPU.
            parameter.copy_(torch.where(length > self.radius, centre + moved, parameter))
