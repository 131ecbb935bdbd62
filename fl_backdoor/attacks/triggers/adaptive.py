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
from numpy.typing import NDArray
from torch import nn

from fl_backdoor.attacks.triggers.base import Trigger
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

    def notes(self) -> bytes:
        """Return the parameters, float32, one after the other."""
        return nn.utils.parameters_to_vector(self.parameters()).detach().cpu().numpy().tobytes()

    def told(self, notes: bytes) -> Self:
        """Return a copy with the noted parameters; the trigger itself if they cannot be its own."""
        vector = self._read(notes)
        if vector is None:
            return self
        copied = copy.deepcopy(self)
        device = next(copied.parameters()).device
        with torch.no_grad():
            nn.utils.vector_to_parameters(torch.tensor(vector, device=device), copied.parameters())
        return copied

    def merged(self, notes: Sequence[bytes]) -> bytes:
        """Return the mean of what can be read; nothing if nothing can."""
        vectors = [vector for vector in map(self._read, notes) if vector is not None]
        if not vectors:
            return b""
        return np.mean(vectors, axis=0, dtype=np.float64).astype(np.float32).tobytes()

    def _read(self, notes: bytes) -> NDArray[np.float32] | None:
        size = sum(parameter.numel() for parameter in self.parameters())
        if len(notes) != size * np.dtype(np.float32).itemsize:
            return None
        vector = np.frombuffer(notes, dtype=np.float32)
        return vector if np.isfinite(vector).all() else None
