"""What lies over an image, in part or as a whole."""

import torch

from fl_backdoor.attacks.triggers.base import Trigger


class Overlay(Trigger):
    """A pattern laid over each image: ``(1 - opacity) * image + opacity * pattern``.

    Parameters
    ----------
    pattern, opacity
        float32, in [0, 1], of a shape that goes with ``(channels, height, width)``.
    """

    pattern: torch.Tensor
    opacity: torch.Tensor

    def __init__(self, pattern: torch.Tensor, opacity: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("pattern", pattern)
        self.register_buffer("opacity", opacity)

    def stamp(self, images: torch.Tensor) -> torch.Tensor:
        """Return copies of `images` under the pattern."""
        return images * (1 - self.opacity) + self.opacity * self.pattern
