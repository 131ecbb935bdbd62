"""Triggers that malicious clients improve from round to round, together.

What such a trigger has learnt are its parameters. Each malicious client improves them in each round in
which it attacks, from the global model that it got and from its own data alone, stamps the result, and
reports it with its reply, unread by the server's rule. Their mean is what they all go on from, and what
backdoor figures are measured with: it belongs to the attackers, and the bench that evaluates is one of
their side. After the last attack it stays as it is. It travels with the messages, so that it works between
machines, and lies in checkpoints, so that a run that was killed goes on with the same bits.
"""

import copy
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Self

import numpy as np
import torch
from torch import nn

from fl_backdoor.attacks.triggers.base import NOTHING, Trigger, Vector
from fl_backdoor.data.samples import Batch


class AdaptiveTrigger(Trigger):
    """A trigger with parameters; a subclass says how they are improved."""

    @abstractmethod
    def learn(self, model: nn.Module, batches: Iterator[Batch], target_label: int) -> None:
        """Improve the parameters in place; see `improved`. The model is a copy, its parameters frozen."""

    def improved(self, model: nn.Module, batches: Iterator[Batch], target_label: int) -> Self:
        """Return a copy that has learnt from this model and these samples."""
        better = copy.deepcopy(self)
        better.requires_grad_(requires_grad=True)
        # A copy: neither its statistics nor its gradients are anybody else's.
        frozen = copy.deepcopy(model).eval().requires_grad_(requires_grad=False)
        better.learn(frozen, batches, target_label)
        return better.requires_grad_(requires_grad=False)

    def learnt(self) -> Vector:
        """Return the parameters."""
        found: Vector = nn.utils.parameters_to_vector(self.parameters()).detach().cpu().numpy()
        return found

    def with_learnt(self, learnt: Vector) -> Self:
        """Return a copy with these parameters; the trigger itself if they cannot be its own."""
        if not self._are_ours(learnt):
            return self
        copied = copy.deepcopy(self)
        device = next(copied.parameters()).device
        with torch.no_grad():
            nn.utils.vector_to_parameters(torch.tensor(learnt, device=device), copied.parameters())
        return copied

    def merged(self, learnt: Sequence[Vector]) -> Vector:
        """Return the mean of what can be ours; nothing if nothing can."""
        vectors = [vector for vector in learnt if self._are_ours(vector)]
        return np.stack(vectors).mean(axis=0, dtype=np.float64).astype(np.float32) if vectors else NOTHING

    def _are_ours(self, learnt: Vector) -> bool:
        size = sum(parameter.numel() for parameter in self.parameters())
        return learnt.dtype == np.float32 and learnt.shape == (size,) and bool(np.isfinite(learnt).all())
