"""Whether a square near the edges of an image lies in it."""

from fl_backdoor.core.errors import ConfigError


def check_square(size: int, margin: int, image_shape: tuple[int, int, int]) -> None:
    """Raise ConfigError if a square of `size` pixels has no room beside `margin` pixels to two edges."""
    smaller = min(image_shape[1:])
    if margin >= smaller:
        raise ConfigError("attack.trigger.margin", margin, f"must be less than {smaller}, the image's size")
    if size > smaller - margin:
        allowed = f"must be at most {smaller - margin} with a margin of {margin}"
        raise ConfigError("attack.trigger.size", size, allowed)
