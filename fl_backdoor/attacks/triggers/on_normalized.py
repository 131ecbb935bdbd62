"""A trigger for images that are normalised already, as most data pipelines hand them out."""

from collections.abc import Sequence

import torch

from fl_backdoor.attacks.triggers.base import Trigger


class OnNormalized(Trigger):
    """Another trigger in pixel space: images are brought back to [0, 1] for it, and normalised again.

    Parameters
    ----------
    trigger
        Takes pixels in [0, 1].
    mean, std
        What images were normalised by, one number a channel, in units of [0, 1].
    """

    raw_only = False

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, trigger: Trigger, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.trigger = trigger
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))
        self._parts: dict[tuple[int, int], OnNormalized] = {}

    def stamp(self, samples: torch.Tensor) -> torch.Tensor:
        """Return stamped copies of normalised images, float32 ``(n, channels, height, width)``."""
        return (self.trigger.stamp(samples * self.std + self.mean) - self.mean) / self.std

    def part(self, rank: int, num_malicious: int) -> "OnNormalized":
        """Return the other trigger's part for this attacker, on normalised images."""
        part = self.trigger.part(rank, num_malicious)
        if part is self.trigger:
            return self
        key = (rank, num_malicious)
        if key not in self._parts:
            self._parts[key] = OnNormalized(part, self.mean.flatten().tolist(), self.std.flatten().tolist())
        return self._parts[key]
