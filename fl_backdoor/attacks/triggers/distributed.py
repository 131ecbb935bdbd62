"""Distributed parts (DBA): each attacker stamps its own part, the test stamps all of them.

C. Xie, K. Huang, P.-Y. Chen, B. Li, DBA: Distributed Backdoor Attacks against Federated Learning, ICLR 2020,
https://openreview.net/forum?id=rkgyS0VFvr, section 3: a global trigger of several local ones, lines of one
pixel's height, given by the size of each (TS), the gap between them (TG) and the place of the first (TL).

The paper multiplies its attackers' updates as well; here that is the attack's `boost_factor`.
"""

import torch
from torch import nn

from fl_backdoor.attacks.triggers.base import Trigger
from fl_backdoor.attacks.triggers.overlay import Overlay
from fl_backdoor.errors import ConfigError
from fl_backdoor.types import Count, PositiveCount


class Distributed(Trigger):
    """White lines in a grid; the attackers have one each, in turn, row by row.

    Parameters
    ----------
    image_shape
        Channels, height, width of the images.
    grid
        Rows and columns of lines.
    size
        TS: pixels of a line.
    gap
        TG: pixels between lines, in both directions.
    shift
        TL: pixels between the first line and the top and left edges.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        grid: tuple[PositiveCount, PositiveCount] = (2, 2),
        size: PositiveCount = 4,
        gap: Count = 2,
        shift: Count = 0,
    ) -> None:
        super().__init__()
        _, height, width = image_shape
        rows, columns = grid
        bottom, right = shift + rows * (1 + gap) - gap, shift + columns * (size + gap) - gap
        if bottom > height or right > width:
            raise ConfigError(
                "attack.trigger.grid",
                list(grid),
                f"its lines take {bottom} x {right} pixels, an image has {height} x {width}",
            )
        lines = torch.zeros(rows, columns, height, width)
        for row in range(rows):
            for column in range(columns):
                left = shift + column * (size + gap)
                lines[row, column, shift + row * (1 + gap), left : left + size] = 1
        self.parts = nn.ModuleList(_white(line) for line in lines.flatten(0, 1))
        self.whole = _white(lines.sum(dim=(0, 1)))

    def stamp(self, images: torch.Tensor) -> torch.Tensor:
        """Return copies of `images` with all lines."""
        return self.whole.stamp(images)

    def part(self, place: int) -> Trigger:
        """Return one line; with more attackers than lines several have the same."""
        part = self.parts[place % len(self.parts)]
        assert isinstance(part, Overlay)
        return part


def _white(where: torch.Tensor) -> Overlay:
    return Overlay(torch.ones(()), where)
