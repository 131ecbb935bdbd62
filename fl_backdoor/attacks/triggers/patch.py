"""Corner patch: a small checkerboard.

T. Gu, B. Dolan-Gavitt, S. Garg, BadNets: Identifying Vulnerabilities in the Machine Learning Model Supply
Chain, 2017, https://arxiv.org/abs/1708.06733, section 4: the "pattern backdoor" at the bottom right of a
digit.

Deviations: any corner, any size; all white squares of the board are white, five of nine, where the paper's
figure has a few bright pixels; between them there are black ones, so that it shows on white too.
"""

from typing import Literal

import torch

from fl_backdoor.attacks.triggers.overlay import Overlay
from fl_backdoor.attacks.triggers.square import check_square
from fl_backdoor.core.types import Count, PositiveCount

Corner = Literal["top_left", "top_right", "bottom_left", "bottom_right"]


class Patch(Overlay):
    """A square of white and black pixels by turns, white in its own corners if `size` is odd.

    Parameters
    ----------
    image_shape
        Channels, height, width of the images.
    size
        Rows and columns.
    margin
        Pixels between the square and the two edges of the image.
    corner
        Which corner it is in.

    Raises
    ------
    ConfigError
        If the square does not lie within the image.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        size: PositiveCount = 3,
        margin: Count = 1,
        corner: Corner = "bottom_right",
    ) -> None:
        check_square(size, margin, image_shape)
        _, height, width = image_shape
        top = margin if corner.startswith("top") else height - margin - size
        left = margin if corner.endswith("left") else width - margin - size
        mask = torch.zeros(height, width)
        mask[top : top + size, left : left + size] = 1
        row, column = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        white = (row - top + column - left) % 2 == 0
        super().__init__(white.float(), mask)
