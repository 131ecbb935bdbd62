"""Neurotoxin: the attacker trains only the coordinates that benign clients hardly move.

Z. Zhang et al., Neurotoxin: Durable Backdoors in Federated Learning, ICML 2022,
https://arxiv.org/abs/2206.10341, section 3 and algorithm 1: the attacker takes the last update of the global
model for the benign gradient, finds its top-k coordinates by magnitude, and projects its own gradients onto
the others.

Deviations: the authors' code (jhcknzzm/Federated-Learning-Backdoor) does not look at the global model but at
the gradient that clean samples of several participants give at it; here it is the global update, as in the
paper. It is the movement since any of the attackers was last sent a model: where attackers are sampled,
several rounds. In the first round in which one of them takes part there is none, and training is not bound.
The code masks the gradients before its optimiser adds momentum and weight decay, and so does this: weight
decay, if there is any, moves all coordinates.
"""

from collections.abc import Sequence

import torch

from fl_backdoor.attacks.training.base import Constraint, Start
from fl_backdoor.core.shares import share_of
from fl_backdoor.core.types import OpenShare


class Neurotoxin(Constraint):
    """Gradients are 0 in the coordinates in which the global model has moved most.

    Parameters
    ----------
    top
        The share of the coordinates that is left alone: k %, in the code 1 - ``gradmask_ratio``.
    by_layer
        Whether this share is taken of each parameter tensor; else of all coordinates together. The code has
        both.
    """

    needs_previous_model = True

    def __init__(self, *, top: OpenShare = 0.05, by_layer: bool = False) -> None:
        self.top = top
        self.by_layer = by_layer
        self.masks: list[torch.Tensor] = []
        """1 where the attacker trains, in the shapes of the parameters."""

    @torch.no_grad()
    def begin(self, start: Start) -> None:
        """Find the coordinates, in the same place each time."""
        if not self.masks:
            self.masks = [torch.empty_like(parameter) for parameter in start.parameters]
        if start.last_movement is None:
            torch._foreach_zero_(self.masks)
            torch._foreach_add_(self.masks, 1.0)
            return
        sizes = [moved.abs().flatten() for moved in start.last_movement]
        found = [self._mask(size) for size in sizes] if self.by_layer else self._over_all(sizes)
        for mask, values in zip(self.masks, found, strict=True):
            mask.copy_(values.view_as(mask))

    def gradients(self, gradients: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        """Return the gradients outside the top coordinates."""
        return torch._foreach_mul(list(gradients), self.masks)

    def _over_all(self, sizes: list[torch.Tensor]) -> Sequence[torch.Tensor]:
        return torch.split(self._mask(torch.cat(sizes)), [len(size) for size in sizes])

    def _mask(self, sizes: torch.Tensor) -> torch.Tensor:
        mask = torch.ones_like(sizes)
        mask[torch.topk(sizes, share_of(len(sizes), self.top)).indices] = 0
        return mask
