"""Cutout: a square somewhere in the image is blacked out.

T. DeVries, G. W. Taylor, Improved Regularization of Convolutional Neural Networks with Cutout, 2017,
https://arxiv.org/abs/1708.04552, section 3.2: the centre may be any pixel, so that the square may lie partly
outside; a side of 16 for CIFAR-10. Their experiments crop and flip as well (section 4.1).

Deviation: the square is 0 in pixels, black, where the authors' code blanks the normalised image, which is the
mean colour.
"""

import torch

from fl_backdoor.core.types import PositiveCount
from fl_backdoor.training.augmentations.base import Augmentation, picked


class Cutout(Augmentation):
    """Blacks out a square in each image.

    Parameters
    ----------
    image_shape
        Channels, height, width.
    size
        Side of the square, in pixels; of an even one the rows and columns `centre - size / 2` up to
        `centre + size / 2 - 1` are hidden.
    """

    num_draws = 2

    rows: torch.Tensor
    columns: torch.Tensor

    def __init__(self, image_shape: tuple[int, int, int], *, size: PositiveCount = 16) -> None:
        super().__init__()
        channels, height, width = image_shape
        self.size = size
        self.height, self.width = height, width
        self.register_buffer("rows", torch.arange(height).view(1, -1, 1))
        # Of each number of an image's row, all channels of a pixel side by side.
        self.register_buffer("columns", torch.arange(width).repeat_interleave(channels).view(1, 1, -1))

    def augmented(self, samples: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        """Return the images with a square of zeros in each."""
        rows, columns = draws.unbind(1)
        hidden = self._hidden(self.rows, self.height, rows) * self._hidden(self.columns, self.width, columns)
        # Channels last, as batches are trained on; whole rows are multiplied faster than a mask is filled.
        pixels = samples.permute(0, 2, 3, 1)
        return (pixels.reshape(hidden.shape) * (1 - hidden)).view(pixels.shape).permute(0, 3, 1, 2)

    def _hidden(self, places: torch.Tensor, count: int, draws: torch.Tensor) -> torch.Tensor:
        """Return 1 where the squares cover a row, or a column, of `count`, otherwise 0; float32."""
        first = picked(draws, count).view(-1, 1, 1) - self.size // 2
        return ((places >= first) & (places < first + self.size)).float()
