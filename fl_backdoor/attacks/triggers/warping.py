"""Warping (WaNet): images are bent a little, always in the same way.

A. Nguyen, A. Tran, WaNet - Imperceptible Warping-based Backdoor Attack, ICLR 2021,
https://arxiv.org/abs/2102.10369, section 3: displacements are drawn on a grid of k x k control points,
divided by their mean size, multiplied by s, interpolated bicubically, and clipped so that no pixel is taken
from outside the image; the image is sampled there bilinearly.

Deviation: the paper's noise mode, in which other samples are bent at random and keep their labels, is left
out.
"""

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention

from fl_backdoor.attacks.triggers.base import Trigger
from fl_backdoor.types import Count, Positive, PositiveCount


class Warping(Trigger):
    """A fixed smooth field of displacements.

    Parameters
    ----------
    image_shape
        Channels, height, width of the images.
    control_points
        k: points along each side of the control grid.
    strength
        s: mean size of a control point's displacement in either direction, in pixels.
    seed
        The field follows from it.
    """

    sampled_at: torch.Tensor

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        control_points: PositiveCount = 4,
        strength: Positive = 0.5,
        seed: Count = 0,
    ) -> None:
        super().__init__()
        _, height, width = image_shape
        drawn = torch.rand(
            1, 2, control_points, control_points, generator=torch.Generator().manual_seed(seed)
        )
        control = 2 * drawn - 1
        control *= strength / control.abs().mean()
        field = F.interpolate(control, (height, width), mode="bicubic", align_corners=True)
        # grid_sample counts from -1 to 1, from the first pixel to the last, the horizontal coordinate first.
        per_pixel = torch.tensor([2 / (width - 1), 2 / (height - 1)])
        row, column = torch.meshgrid(
            torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij"
        )
        straight = torch.stack([column, row], dim=-1)
        bent = straight + field.permute(0, 2, 3, 1) * per_pixel
        self.register_buffer("sampled_at", bent.clamp(-1, 1))

    def stamp(self, images: torch.Tensor) -> torch.Tensor:
        """Return bent copies of `images`."""
        places = self.sampled_at.expand(len(images), -1, -1, -1)
        return F.grid_sample(images, places, mode="bilinear", align_corners=True)
