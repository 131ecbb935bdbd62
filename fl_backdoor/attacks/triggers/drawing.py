"""A drawing: pixels that a few lines of text say, as the triggers of many papers' code are.

The default is the plus of T. Huang et al., Lockdown: Backdoor Defense for Federated Learning with Isolated
Subspace Training, NeurIPS 2023, https://github.com/git-disl/Lockdown, ``add_pattern_bd`` in ``src/utils.py``:
7 pixels down and 7 across, yellow, on 32x32 images; AlignIns has the same one.
"""

from collections.abc import Sequence

import torch

from fl_backdoor.attacks.triggers.overlay import Overlay
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.types import Count, Share

COLORED, BLACK, UNCHANGED = "x", "o", "."
PLUS = (*["...x..."] * 3, "xxxxxxx", *["...x..."] * 3)
YELLOW = (1.0, 1.0, 0.0)


class Drawing(Overlay):
    """Coloured and black pixels, the same ones on each image.

    Parameters
    ----------
    image_shape
        Channels, height, width of the images.
    lines
        A line of text for each row of the drawing, all of the same length: ``x`` is a pixel in `color`, ``o``
        a black one, ``.`` leaves the image as it is.
    top, left
        Row and column of its first pixel, counted from 0.
    color
        Value of each channel, in [0, 1]; grey images take the first of three.

    Raises
    ------
    ConfigError
        If lines have other characters or other lengths, draw nothing, or do not lie within the image; if the
        colour has too few or too many values.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        lines: tuple[str, ...] = PLUS,
        top: Count = 5,
        left: Count = 2,
        color: tuple[Share, ...] = YELLOW,
    ) -> None:
        channels, height, width = image_shape
        _check(lines)
        _check_room("top", top, len(lines), height)
        _check_room("left", left, len(lines[0]), width)
        if len(color) not in {channels, max(channels, len(YELLOW))}:
            raise ConfigError("attack.trigger.color", list(color), f"must have {channels} values")
        rows, columns = slice(top, top + len(lines)), slice(left, left + len(lines[0]))
        colored, drawn = torch.zeros(height, width), torch.zeros(height, width)
        colored[rows, columns] = _mask(lines, COLORED)
        drawn[rows, columns] = _mask(lines, COLORED + BLACK)
        super().__init__(torch.tensor(color[:channels]).view(-1, 1, 1) * colored, drawn)


def _mask(lines: Sequence[str], characters: str) -> torch.Tensor:
    return torch.tensor([[float(character in characters) for character in line] for line in lines])


def _check(lines: Sequence[str]) -> None:
    allowed = f"must be lines of equal length of {COLORED}, {BLACK} and {UNCHANGED}, with a pixel in them"
    characters = set("".join(lines))
    if (
        len({len(line) for line in lines}) != 1
        or characters - {COLORED, BLACK, UNCHANGED}
        or not characters & {COLORED, BLACK}
    ):
        raise ConfigError("attack.trigger.lines", list(lines), allowed)


def _check_room(name: str, first: int, size: int, room: int) -> None:
    if first + size > room:
        allowed = f"leaves no room for {size} pixels: an image has {room}"
        raise ConfigError(f"attack.trigger.{name}", first, allowed)
