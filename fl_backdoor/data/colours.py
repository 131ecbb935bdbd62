"""Images of any of Pillow's modes as eight bits a channel, colour or grey.

Eight-bit modes are converted as Pillow does it; transparency is left out, as torchvision's ImageFolder
leaves it out. Pillow cuts off what has more than eight bits at 255, so that a grey image of 16 bits comes
out white: these are scaled, 65535 to 255. Whole numbers of 32 bits and fractions have no range that could
be known, and are refused.
"""

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

EIGHT_BITS = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"})

SIXTEEN_BIT_FORMATS = frozenset({"PNG", "PPM"})
"""Formats that have 16 bits at most, which Pillow reads into 32."""

TO_EIGHT_BITS = 257
"""65535 / 255."""


def in_eight_bits(image: "Image", channels: Literal[1, 3]) -> "Image":
    """Return an image of the mode RGB (three channels) or L (one).

    Raises
    ------
    ValueError
        If the image's mode has no range that could be brought to 0 to 255.
    """
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in SIXTEEN_BIT_FORMATS):
        image = _scaled(image)
    elif image.mode == "La":
        image = image.convert("LA")
    elif image.mode == "LAB":
        image = image.convert("RGB")
    elif image.mode not in EIGHT_BITS:
        raise ValueError(
            f"its mode is {image.mode}, numbers of 32 bits whose range nobody knows; "
            "save it with 8 or 16 bits a channel"
        )
    return image.convert("RGB" if channels == 3 else "L")


def _scaled(image: "Image") -> "Image":
    from PIL import Image

    wide = np.asarray(image).astype(np.uint32)
    return Image.fromarray(((wide + TO_EIGHT_BITS // 2) // TO_EIGHT_BITS).astype(np.uint8))
