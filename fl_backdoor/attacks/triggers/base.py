"""What every trigger is."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import nn


class Trigger(nn.Module, ABC):
    """A change of images that a backdoored model answers with the target class.

    A trigger knows nothing of poisoning: it is stamped on whatever it is given. Being a module it takes its
    tensors along to a GPU.
    """

    pixels_only: ClassVar[bool] = True
    """Whether it is defined on pixels in [0, 1] alone, and not on normalised images as well."""

    @abstractmethod
    def stamp(self, images: torch.Tensor) -> torch.Tensor:
        """Return stamped copies.

        On a GPU a training step is recorded once and replayed, and this with it: same work for each batch,
        no decision that depends on the pixels, no transfer from or to main memory.

        Parameters
        ----------
        images
            float32 ``(n, channels, height, width)``, usually pixels in [0, 1]; what is returned lies in there
            as well then.
        """

    def part(self, place: int) -> "Trigger":
        """Return what the malicious client at `place` among all of them, from 0, stamps: all of it."""
        return self
