"""Distributed parts (DBA): each attacker stamps its own part, the test stamps all of them.

C. Xie, K. Huang, P.-Y. Chen, B. Li, DBA: Distributed Backdoor Attacks against Federated Learning, ICLR 2020,
https://openreview.net/forum?id=rkgyS0VFvr, section 3: a global trigger of several local ones, lines given by
the size of each (TS), the gap between them (TG) and the place of the first (TL). The authors' code
(AI-secure/DBA, utils/*_params.yaml) has four attackers with a line each, and for each size of images a
trigger of its own, `AUTHORS`; other images get that of the nearest of these sizes, scaled.

Deviations: fewer attackers than lines share them out, so that the clients stamp together what is tested. The
paper multiplies its attackers' updates as well; here that is the attack's `boost_factor`.
"""

import math
from typing import NamedTuple

import torch

from fl_backdoor.attacks.triggers.base import Trigger
from fl_backdoor.attacks.triggers.overlay import Overlay
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.types import Count, PositiveCount


class Lines(NamedTuple):
    """Rows of pixels and pixels a row of each line, and pixels between lines, in both directions."""

    thickness: int
    size: int
    gap: int


AUTHORS = {28: Lines(1, 4, 2), 32: Lines(1, 6, 3), 64: Lines(2, 10, 2)}
"""By the size of images: MNIST, CIFAR-10, Tiny ImageNet."""


class Distributed(Trigger):
    """White lines in a grid; the attackers have one each, in turn, row by row, or several if they are fewer.

    Parameters
    ----------
    image_shape
        Channels, height, width of the images.
    grid
        Rows and columns of lines.
    thickness
        Rows of pixels of a line; null: as the authors have it for images of this size, and so below.
    size
        TS: pixels of a line from left to right.
    gap
        TG: pixels between lines, in both directions.
    shift
        TL: pixels between the first line and the top and left edges.

    Raises
    ------
    ConfigError
        If the lines do not lie within the image.
    """

    lines: torch.Tensor

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        grid: tuple[PositiveCount, PositiveCount] = (2, 2),
        thickness: PositiveCount | None = None,
        size: PositiveCount | None = None,
        gap: Count | None = None,
        shift: Count = 0,
    ) -> None:
        super().__init__()
        usual = for_images_of(min(image_shape[1:]))
        chosen = Lines(thickness or usual.thickness, size or usual.size, usual.gap if gap is None else gap)
        _check(chosen, grid, shift, image_shape)
        self.register_buffer("lines", _drawn(chosen, grid, shift, image_shape))
        self.whole = _white(self.lines)
        self._parts: dict[tuple[int, int], Overlay] = {}

    def stamp(self, images: torch.Tensor) -> torch.Tensor:
        """Return copies of `images` with all lines."""
        return self.whole.stamp(images)

    def part(self, rank: int, num_malicious: int) -> Overlay:
        """Return every so many-th line; with more attackers than lines several have the same."""
        every = min(num_malicious, len(self.lines))
        key = (rank % every, every)
        if key not in self._parts:
            self._parts[key] = _white(self.lines[key[0] :: every])
        return self._parts[key]


def _white(lines: torch.Tensor) -> Overlay:
    return Overlay(torch.ones((), device=lines.device), lines.sum(dim=0))


def for_images_of(pixels: int) -> Lines:
    """Return the authors' lines for images of so many pixels a side; those of the nearest size, scaled."""
    nearest = min(AUTHORS, key=lambda size: abs(math.log(pixels / size)))
    return Lines(*(max(1, round(length * pixels / nearest)) for length in AUTHORS[nearest]))


def _check(lines: Lines, grid: tuple[int, int], shift: int, image_shape: tuple[int, int, int]) -> None:
    _, height, width = image_shape
    for name, value, most in (
        ("thickness", lines.thickness, height),
        ("size", lines.size, width),
        ("gap", lines.gap, min(height, width)),
        ("shift", shift, min(height, width) - 1),
    ):
        if value > most:
            raise ConfigError(f"attack.trigger.{name}", value, f"must be at most {most}")
    rows, columns = grid
    bottom = shift + rows * (lines.thickness + lines.gap) - lines.gap
    right = shift + columns * (lines.size + lines.gap) - lines.gap
    if bottom > height or right > width:
        raise ConfigError(
            "attack.trigger.grid",
            list(grid),
            f"its lines take {bottom} x {right} pixels, an image has {height} x {width}",
        )


def _drawn(
    lines: Lines, grid: tuple[int, int], shift: int, image_shape: tuple[int, int, int]
) -> torch.Tensor:
    """Return where each line is, row by row: 1 there, float32 ``(n_lines, height, width)``."""
    rows, columns = grid
    drawn = torch.zeros(rows, columns, *image_shape[1:])
    for row in range(rows):
        for column in range(columns):
            top = shift + row * (lines.thickness + lines.gap)
            left = shift + column * (lines.size + lines.gap)
            drawn[row, column, top : top + lines.thickness, left : left + lines.size] = 1
    return drawn.flatten(0, 1)
