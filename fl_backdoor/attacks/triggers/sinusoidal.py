"""Sinusoidal signal (SIG): vertical stripes that are hardly seen.

M. Barni, K. Kallas, B. Tondi, A New Backdoor Attack in CNNs by Training Set Corruption Without Label
Poisoning, ICIP 2019, https://arxiv.org/abs/1902.11237: ``v(i, j) = delta * sin(2 pi j f / m)`` is added to
each pixel, for column j = 1 … m and f periods.

Deviation: the paper poisons samples of the target class and leaves their labels; here samples of all classes
are relabelled, as with every trigger.
"""

import math

import torch

from fl_backdoor.attacks.triggers.base import Trigger
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.types import Positive, Ratio


class Sinusoidal(Trigger):
    """A sine over the columns, added to all channels and clipped.

    Parameters
    ----------
    image_shape
        Channels, height, width of the images.
    delta
        Amplitude, in units of [0, 1]; the paper's 20 of 255 is 0.0784.
    frequency
        Periods over the width of the image, less than one in two columns: such a sine is 0 in each of them.

    Raises
    ------
    ConfigError
        If there are too many periods.
    """

    signal: torch.Tensor

    def __init__(
        self, image_shape: tuple[int, int, int], *, delta: Ratio = 0.0784, frequency: Positive = 6.0
    ) -> None:
        super().__init__()
        width = image_shape[2]
        if frequency >= width / 2:
            allowed = f"must be less than {width / 2:g}, half the image's columns"
            raise ConfigError("attack.trigger.frequency", frequency, allowed)
        columns = torch.arange(1, width + 1)
        self.register_buffer("signal", delta * torch.sin(2 * math.pi * columns * frequency / width))

    def stamp(self, images: torch.Tensor) -> torch.Tensor:
        """Return copies of `images` with the sine on them."""
        return (images + self.signal).clamp_(0, 1)
