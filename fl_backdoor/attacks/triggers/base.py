"""What every trigger is."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fl_backdoor.data.samples import Batch

Vector = NDArray[np.float32]
"""What a trigger has learnt, one number after the other."""

NOTHING: Vector = np.zeros(0, dtype=np.float32)


class Trigger(nn.Module, ABC):
    """A change of samples that a backdoored model answers with the target class.

    A trigger knows nothing of poisoning: it is stamped on whatever it is given. Being a module it takes its
    tensors along to a GPU.
    """

    raw_only: ClassVar[bool] = True
    """Whether it is defined on raw samples alone (pixels in [0, 1]), and not on normalised ones as well."""

    @abstractmethod
    def stamp(self, samples: torch.Tensor) -> torch.Tensor:
        """Return stamped copies.

        On a GPU a training step is recorded once and replayed, and this with it: same work for each batch,
        no decision that depends on the samples, no transfer from or to main memory.

        Parameters
        ----------
        samples
            Images, float32 ``(n, channels, height, width)``, usually pixels in [0, 1]; what is returned lies
            in there as well then. Or sentences, int32 ``(n, num_tokens)``.
        """

    def part(self, rank: int, num_malicious: int) -> "Trigger":
        """Return what the malicious client of this rank, from 0, among so many stamps: all of it.

        The same arguments give the same object.
        """
        return self

    def improved(self, model: nn.Module, batches: Iterator[Batch], target_label: int) -> "Trigger":
        """Return what a malicious client stamps in a round, given the global model: always the same.

        Parameters
        ----------
        model
            Maps raw samples to logits; it is left as it is.
        batches
            The client's own raw samples and labels, without end.
        target_label
            The class that the trigger is to lead to.
        """
        return self

    def learnt(self) -> Vector:
        """Return what the trigger has learnt, for those who shall stamp the same: nothing."""
        return NOTHING

    def with_learnt(self, learnt: Vector) -> "Trigger":
        """Return the trigger as it is with what somebody has learnt; that may be empty, or not be valid."""
        return self

    def merged(self, learnt: Sequence[Vector]) -> Vector:
        """Return what several clients have learnt, as one."""
        return NOTHING
