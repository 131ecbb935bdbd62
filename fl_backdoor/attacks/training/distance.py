"""Constrain and scale: the attacker stays near the global model while it learns its task.

E. Bagdasaryan et al., How To Backdoor Federated Learning, AISTATS 2020, https://arxiv.org/abs/1807.00459,
section 4.3, equation 4: ``L = alpha * L_class + (1 - alpha) * L_ano``, for an anomaly loss L_ano; here, as in
their experiments on images, the L2 distance to the global model.

Deviations: the distance is over trained parameters, without BatchNorm's buffers. Where there is none yet, its
gradient is taken as 0. Scaling is a manipulation of its own (``attack.boost_factor``).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention

from fl_backdoor.attacks.training.base import Objective, Start
from fl_backdoor.core.types import OpenShare
from fl_backdoor.training.hooks import Logits

SMALLEST = 1e-12
"""Added to a squared distance: its root has no gradient at 0."""


class Distance(Objective):
    """A weighted sum of the cross-entropy and the distance to the global model.

    Parameters
    ----------
    task_weight
        The paper's alpha: the weight of the cross-entropy.
    """

    def __init__(self, *, task_weight: OpenShare = 0.5) -> None:
        self.task_weight = task_weight
        self._parameters: Sequence[torch.Tensor] = []
        self._origin: list[torch.Tensor] = []

    def begin(self, start: Start) -> None:
        """Remember the global model, in the same place each time."""
        if not self._origin:
            self._origin = [torch.empty_like(parameter) for parameter in start.parameters]
        self._parameters = start.parameters
        with torch.no_grad():
            torch._foreach_copy_(self._origin, list(start.parameters))

    def loss(self, logits_of: Logits, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return ``alpha * cross-entropy + (1 - alpha) * distance``."""
        squares = [
            (parameter - origin).square().sum()
            for parameter, origin in zip(self._parameters, self._origin, strict=True)
        ]
        distance = (torch.stack(squares).sum() + SMALLEST).sqrt()
        task = F.cross_entropy(logits_of(inputs), labels)
        return self.task_weight * task + (1 - self.task_weight) * distance
