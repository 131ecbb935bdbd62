"""Models for drills: small enough that a simulation with them takes no time."""

from torch import nn


def with_buffers(image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """Return a model whose BatchNorm has statistics and a counter, as ResNet-18's have."""
    channels, height, width = image_shape
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * height * width, num_classes),
    )
