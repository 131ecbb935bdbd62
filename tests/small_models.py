"""Models for drills: small enough that a simulation with them takes no time."""

import torch
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


class Tied(nn.Module):
    """Two layers have one weight, which stands in the ``state_dict`` under both names."""

    def __init__(self, image_shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        channels, height, width = image_shape
        self.first = nn.Linear(channels * height * width, 8)
        self.second = nn.Linear(8, 8, bias=False)
        self.third = nn.Linear(8, 8, bias=False)
        self.third.weight = self.second.weight
        self.head = nn.Linear(8, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        hidden = torch.relu(self.second(torch.relu(self.first(images.flatten(1)))))
        logits: torch.Tensor = self.head(torch.relu(self.third(hidden)))
        return logits
