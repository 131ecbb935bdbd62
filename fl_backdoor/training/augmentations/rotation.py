"""Random rotation about the centre, as torchvision's ``RandomRotation`` has it by default.

Each pixel is the nearest one of the image before, black where there is none.
"""

import math

import torch

from fl_backdoor.core.types import Positive
from fl_backdoor.training.augmentations.base import Augmentation, pixels_at


class Rotation(Augmentation):
    """Turns each image by up to `degrees` one way or the other, all angles as likely.

    Parameters
    ----------
    image_shape
        Channels, height, width.
    degrees
        The largest angle; a positive one turns counterclockwise.
    """

    num_draws = 1

    down: torch.Tensor
    right: torch.Tensor

    def __init__(self, image_shape: tuple[int, int, int], *, degrees: Positive = 10.0) -> None:
        super().__init__()
        _, height, width = image_shape
        self.radians = math.radians(degrees)
        self.centre = (height - 1) / 2, (width - 1) / 2
        self.register_buffer("down", torch.arange(height).view(1, -1, 1) - self.centre[0])
        self.register_buffer("right", torch.arange(width).view(1, 1, -1) - self.centre[1])

    def augmented(self, samples: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        """Return the images, turned."""
        angle = ((2 * draws - 1) * self.radians).view(-1, 1, 1)
        sine, cosine = angle.sin(), angle.cos()
        rows = self.down * cosine + self.right * sine + self.centre[0]
        columns = self.right * cosine - self.down * sine + self.centre[1]
        return pixels_at(samples, rows.round().long(), columns.round().long())
