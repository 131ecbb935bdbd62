"""What every trigger is."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar

import torch
from torch import nn

from fl_backdoor.data.samples import Batch


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

    def part(self, place: int, num_malicious: int) -> "Trigger":
        """Return what the malicious client at `place`, from 0, among so many stamps: all of it.

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

    def notes(self) -> bytes:
        """Return what the trigger has learnt, for those who shall stamp the same: nothing."""
        return b""

    def told(self, notes: bytes) -> "Trigger":
        """Return the trigger as it is with what somebody has noted; `notes` may be empty, or not be valid."""
        return self

    def merged(self, notes: Sequence[bytes]) -> bytes:
        """Return what several clients have noted, as one."""
        return b""
