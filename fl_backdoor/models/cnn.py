"""The small CNN: three convolutions and two dense layers; 321,290 parameters on 32x32 colour images."""

import torch
from torch import nn


class CNN(nn.Module):
    """Convolutions of 32, 64 and 64 channels, each halved by max pooling, then 256 hidden units.

    Parameters
    ----------
    image_shape
        Channels, height, width; height and width at least 8.
    num_classes
        Number of classes.

    Raises
    ------
    ValueError
        If images are smaller.
    """

    def __init__(self, image_shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        channels, height, width = image_shape
        if min(height, width) < 8:
            raise ValueError("images must be at least 8 pixels high and wide")
        self.features = nn.Sequential(*_block(channels, 32), *_block(32, 64), *_block(64, 64))
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(64 * (height // 8) * (width // 8), 256),
            nn.ReLU(inplace=True),
            nn.Linear(256, num_classes),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map normalised images float32 ``(n, channels, height, width)`` to logits ``(n, num_classes)``."""
        logits: torch.Tensor = self.classifier(self.features(images))
        return logits


def _block(inputs: int, outputs: int) -> list[nn.Module]:
    # Pooling before ReLU gives the same numbers and gradients, and ReLU a quarter of the work.
    return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(inplace=True)]
