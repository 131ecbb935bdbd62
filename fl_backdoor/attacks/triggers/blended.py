"""Blended injection: a key pattern shines through the whole image.

X. Chen et al., Targeted Backdoor Attacks on Deep Learning Systems Using Data Poisoning, 2017,
https://arxiv.org/abs/1712.05526, the blended injection strategy with a random pattern as its key:
``alpha * key + (1 - alpha) * image``. Their alpha is called `opacity` here, and 0.2 as in their experiments.
"""

import torch

from fl_backdoor.attacks.triggers.overlay import Overlay
from fl_backdoor.core.types import Ratio, TorchSeed


class Blended(Overlay):
    """Noise, the same on each image.

    Parameters
    ----------
    image_shape
        Channels, height, width of the images.
    opacity
        Share of the key in each pixel.
    seed
        The key follows from it: uniform in [0, 1], each pixel and channel for itself.
    """

    def __init__(
        self, image_shape: tuple[int, int, int], *, opacity: Ratio = 0.2, seed: TorchSeed = 0
    ) -> None:
        key = torch.rand(image_shape, generator=torch.Generator().manual_seed(seed))
        super().__init__(key, torch.tensor(opacity))
