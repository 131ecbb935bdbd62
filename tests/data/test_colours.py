from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from fl_backdoor.data.colours import in_eight_bits


def pixel(image, channels):
    converted = in_eight_bits(image, channels)
    assert converted.mode == ("RGB" if channels == 3 else "L")
    return np.asarray(converted)[0, 0].tolist()


def of(mode, value):
    return Image.new(mode, (2, 2), value)


def palette(mode):
    image = Image.new(mode, (2, 2), 1 if mode == "P" else (1, 0))
    image.putpalette([0, 0, 0, 200, 10, 30])
    return image


def stored(image, kind):
    """Write an image to a file and open it again."""
    file = BytesIO()
    image.save(file, kind)
    return Image.open(file)


# ITU-R 601: 0.299 · 200 + 0.587 · 10 + 0.114 · 30 = 69.
REDDISH = ([200, 10, 30], 69)


@pytest.mark.parametrize(
    ("image", "colour", "grey"),
    [
        (of("1", 1), [255] * 3, 255),
        (of("L", 200), [200] * 3, 200),
        (of("LA", (200, 0)), [200] * 3, 200),
        (of("LA", (200, 255)).convert("La"), [200] * 3, 200),
        (palette("P"), *REDDISH),
        (palette("PA"), *REDDISH),
        (of("RGB", (200, 10, 30)), *REDDISH),
        (of("RGBA", (200, 10, 30, 0)), *REDDISH),
        (of("RGBA", (200, 10, 30, 255)).convert("RGBa"), *REDDISH),
        (of("RGBX", (200, 10, 30, 0)), *REDDISH),
        # each of the three inks takes away its share, and black its share of the rest: 245 · 205 / 255 = 197
        (of("CMYK", (10, 200, 30, 50)), [197, 44, 181], 105),
        # JPEG's formula: R = Y + 1.402 (Cr - 128), G = Y - .344 (Cb - 128) - .714 (Cr - 128), and B alike
        (of("YCbCr", (100, 120, 130)), [103, 101, 86], 100),
        # a third of the circle is green: H = 85 of 255
        (of("HSV", (85, 255, 255)), [0, 255, 0], 150),
        # L* = 54.3, a* = 80.8, b* = 69.9 is the red of sRGB under D50; L* is of 255, the others begin at 128
        (of("LAB", (138, 209, 198)), [255, 0, 0], 76),
        # 40000 / 257 = 155.6
        (of("I;16", 40_000), [156] * 3, 156),
        (of("I;16B", 40_000), [156] * 3, 156),
        (of("I;16L", 40_000), [156] * 3, 156),
        (of("I;16N", 40_000), [156] * 3, 156),
        (stored(of("I;16", 65_535), "PNG"), [255] * 3, 255),
        (stored(of("I;16", 0), "TIFF"), [0] * 3, 0),
        (stored(of("I", 40_000), "PPM"), [156] * 3, 156),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else "",
)
def test_every_mode_keeps_its_colours(image, colour, grey):
    assert pixel(image, 3) == pytest.approx(colour, abs=6 if image.mode == "LAB" else 2)
    assert pixel(image, 1) == pytest.approx(grey, abs=2)


@pytest.mark.parametrize("image", [of("F", 0.5), of("I", 40_000), stored(of("I", 40_000), "TIFF")])
def test_numbers_without_a_known_range_are_refused(image):
    with pytest.raises(ValueError, match=rf"^its mode is {image.mode}, numbers of 32 bits"):
        in_eight_bits(image, 3)
