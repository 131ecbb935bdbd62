"""Random crop: the image is framed in black, and a window of its own size is cut out of that.

K. He, X. Zhang, S. Ren, J. Sun, Deep Residual Learning for Image Recognition, CVPR 2016,
https://arxiv.org/abs/1512.03385, section 4.2, after Lee et al. 2015: 4 pixels padded on each side, a random
32x32 crop. The frame is 0 in pixels, before normalisation, as torchvision's ``RandomCrop`` ahead of
``Normalize`` has it.
"""

import torch

from fl_backdoor.core.types import PositiveCount
from fl_backdoor.training.augmentations.base import Augmentation, picked, pixels_at


class Crop(Augmentation):
    """Moves each image by up to `padding` pixels up or down and left or right, all as likely.

    Parameters
    ----------
    image_shape
        Channels, height, width.
    padding
        Width of the frame on each side.
    """

    num_draws = 2

    rows: torch.Tensor
    columns: torch.Tensor

    def __init__(self, image_shape: tuple[int, int, int], *, padding: PositiveCount = 4) -> None:
        super().__init__()
        _, height, width = image_shape
        self.padding = padding
        self.register_buffer("rows", torch.arange(height).view(1, -1, 1))
        self.register_buffer("columns", torch.arange(width).view(1, 1, -1))

    def augmented(self, samples: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        """Return a window of each framed image."""
        down, right = (picked(draws, 2 * self.padding + 1) - self.padding).view(-1, 2, 1, 1).unbind(1)
        return pixels_at(samples, self.rows + down, self.columns + right)
