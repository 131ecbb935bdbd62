"""Random horizontal flip, as in He et al., CVPR 2016, https://arxiv.org/abs/1512.03385, section 4.2."""

import torch

from fl_backdoor.core.types import Share
from fl_backdoor.training.augmentations.base import Augmentation


class Flip(Augmentation):
    """Mirrors images, left for right.

    Parameters
    ----------
    image_shape
        Channels, height, width.
    share
        With which probability an image is mirrored.
    """

    num_draws = 1

    def __init__(self, image_shape: tuple[int, int, int], *, share: Share = 0.5) -> None:
        super().__init__()
        self.share = share

    def augmented(self, samples: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        """Return the images, some of them mirrored."""
        return torch.where((draws < self.share).view(-1, 1, 1, 1), samples.flip(3), samples)
