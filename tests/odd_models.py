"""Models as people bring them; most of them do not go with the bench."""

import math

import torch
from torch import nn


class Flat(nn.Module):
    """A linear model with whatever else a test asks of it."""

    def __init__(self, image_shape: tuple[int, int, int], num_classes: int, dtype: str = "float32") -> None:
        super().__init__()
        self.head = nn.Linear(math.prod(image_shape), num_classes, dtype=getattr(torch, dtype))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(images.flatten(1).to(self.head.weight.dtype)).float()


class Pair(Flat):
    def forward(self, images):
        logits = super().forward(images)
        return logits, logits.detach()


class Three(Flat):
    def __init__(self, image_shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__(image_shape, 3)


class Squeezed(Flat):
    """Loses the batch's axis where it holds a single sample."""

    def forward(self, images):
        return super().forward(images).squeeze()


class Frozen(Flat):
    def __init__(self, image_shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__(image_shape, num_classes)
        self.requires_grad_(requires_grad=False)


class NotFinite(Flat):
    def forward(self, images):
        return super().forward(images) * torch.inf


class InputsOfAnotherSize(Flat):
    def __init__(self, image_shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__((3, 32, 32), num_classes)


def no_module(image_shape: tuple[int, int, int], num_classes: int) -> dict[str, int]:
    return {"classes": num_classes}


class Lazy(nn.Sequential):
    def __init__(self, image_shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__(
            nn.Flatten(), nn.LazyLinear(8), nn.LazyBatchNorm1d(), nn.Dropout(), nn.LazyLinear(num_classes)
        )


class BatchNormOfVectors(nn.Sequential):
    """BatchNorm without pixels to average over: a batch of one sample has no variance."""

    def __init__(self, image_shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__(
            nn.Flatten(), nn.Linear(math.prod(image_shape), 8), nn.BatchNorm1d(8), nn.Linear(8, num_classes)
        )
