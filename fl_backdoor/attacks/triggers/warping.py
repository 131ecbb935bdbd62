"""Warping (WaNet): images are bent a little, always in the same way.

A. Nguyen, A. Tran, WaNet - Imperceptible Warping-based Backdoor Attack, ICLR 2021,
https://arxiv.org/abs/2102.10369, section 3: displacements are drawn on a grid of k x k control points,
divided by their mean size, multiplied by s, interpolated bicubically, and clipped so that no pixel is taken
from outside the image; the image is sampled there bilinearly. The paper does not say what unit s has; in the
authors' code (train.py of VinAIResearch/Warping-based_Backdoor_Attack-release) the field is divided by the
height, in coordinates from -1 to 1, so that a control point is moved by about s / 2 pixels, and a pixel
between them by less: 0.18 on average over draws at their k = 4, s = 0.5 and 32 x 32 pixels.

Deviations: an image need not be square, each direction goes by its own size; the paper's noise mode, in which
other samples are bent at random and keep their labels, is left out.
"""

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention

from fl_backdoor.attacks.triggers.base import Trigger
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.types import Positive, PositiveCount, TorchSeed


class Warping(Trigger):
    """A fixed smooth field of displacements.

    Parameters
    ----------
    image_shape
        Channels, height, width of the images.
    control_points
        k: points along each side of the control grid.
    strength
        s: control points are moved by about s / 2 pixels in either direction, on average.
    seed
        The field follows from it.

    Raises
    ------
    ConfigError
        If there are more control points than pixels, or they are moved by more than half the image.
    """

    sampled_at: torch.Tensor

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        control_points: PositiveCount = 4,
        strength: Positive = 0.5,
        seed: TorchSeed = 0,
    ) -> None:
        super().__init__()
        _, height, width = image_shape
        _check(control_points, strength, min(height, width))
        drawn = torch.rand(
            1, 2, control_points, control_points, generator=torch.Generator().manual_seed(seed)
        )
        control = 2 * drawn - 1
        control /= control.abs().mean()
        field = F.interpolate(control, (height, width), mode="bicubic", align_corners=True)
        # grid_sample counts from -1 to 1, from the first pixel to the last, the horizontal coordinate first.
        scale = strength / torch.tensor([width, height])
        row, column = torch.meshgrid(
            torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij"
        )
        straight = torch.stack([column, row], dim=-1)
        bent = straight + field.permute(0, 2, 3, 1) * scale
        self.register_buffer("sampled_at", bent.clamp(-1, 1))

    def stamp(self, images: torch.Tensor) -> torch.Tensor:
        """Return bent copies of `images`."""
        grid = self.sampled_at.expand(len(images), -1, -1, -1)
        return F.grid_sample(images, grid, mode="bilinear", align_corners=True)


def _check(control_points: int, strength: float, size: int) -> None:
    if control_points > size:
        raise ConfigError("attack.trigger.control_points", control_points, f"must be at most {size}")
    if strength > size:
        raise ConfigError("attack.trigger.strength", strength, f"must be at most {size}, the image's size")
