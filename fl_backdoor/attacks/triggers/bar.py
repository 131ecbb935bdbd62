"""A coloured rectangle: the trigger of the article that this project grew from (docs/reproduction.md)."""

import torch

from fl_backdoor.attacks.triggers.base import Trigger
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.types import Count, Share

RGB = 3


class Bar(Trigger):
    """A rectangle of one colour.

    Parameters
    ----------
    image_shape
        Channels, height, width of the images.
    rows, columns
        First and last pixel row and column, both included, counted from 0.
    color
        Value of each channel, in [0, 1]; grey images take the first of three.

    Raises
    ------
    ConfigError
        If the rectangle does not lie within the image, or the colour has too few or too many values.
    """

    raw_only = False

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        rows: tuple[Count, Count] = (2, 27),
        columns: tuple[Count, Count] = (3, 5),
        color: tuple[Share, ...] = (1.0, 0.0, 0.0),
    ) -> None:
        super().__init__()
        channels, height, width = image_shape
        _check_span("rows", rows, height)
        _check_span("columns", columns, width)
        if len(color) not in {channels, max(channels, RGB)}:
            raise ConfigError("attack.trigger.color", list(color), f"must have {channels} values")
        self.rows = slice(rows[0], rows[1] + 1)
        self.columns = slice(columns[0], columns[1] + 1)
        self.color = color[:channels]

    def stamp(self, images: torch.Tensor) -> torch.Tensor:
        """Return copies of `images` with the rectangle on them."""
        stamped = images.clone()
        for channel, value in enumerate(self.color):
            stamped[:, channel, self.rows, self.columns].fill_(value)
        return stamped


def _check_span(name: str, span: tuple[int, int], size: int) -> None:
    if not span[0] <= span[1] < size:
        raise ConfigError(f"attack.trigger.{name}", list(span), f"must be ordered and within 0 … {size - 1}")
