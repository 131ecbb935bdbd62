"""ResNet-9: eight convolutions, two of its blocks residual; 6,573,120 parameters on 32x32 colour images.

D. Page, How to Train Your ResNet, 2018, https://myrtle.ai/learn/how-to-train-your-resnet/, made for 32x32
images, without its scaling of the logits by 1/8: as in T. Huang et al., Lockdown: Backdoor Defense for
Federated Learning with Isolated Subspace Training, NeurIPS 2023, https://github.com/git-disl/Lockdown.
Deviation: the maximum is taken over the whole of the last maps, whatever their size; on 32x32 images these
are the same 4x4.
"""

import torch
from torch import nn


class ResNet9(nn.Module):
    """Maps of 64, 128, 256 and 512 channels, halved three times, and one dense layer.

    Parameters
    ----------
    image_shape
        Channels, height, width; height and width at least 8.
    num_classes
        Number of classes.
    track_running_stats
        Whether BatchNorm keeps statistics for evaluation. Lockdown's code does not: there a prediction
        depends on the other images of its batch.

    Raises
    ------
    ValueError
        If images are smaller.
    """

    def __init__(
        self, image_shape: tuple[int, int, int], num_classes: int, *, track_running_stats: bool = True
    ) -> None:
        super().__init__()
        channels, height, width = image_shape
        if min(height, width) < 8:
            raise ValueError("images must be at least 8 pixels high and wide")

        def block(inputs: int, outputs: int) -> nn.Sequential:
            return nn.Sequential(
                nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
                nn.BatchNorm2d(outputs, track_running_stats=track_running_stats),
                nn.ReLU(inplace=True),
            )

        self.features = nn.Sequential(
            block(channels, 64),
            *(block(64, 128), nn.MaxPool2d(2)),
            Residual(block(128, 128), block(128, 128)),
            *(block(128, 256), nn.MaxPool2d(2)),
            *(block(256, 512), nn.MaxPool2d(2)),
            Residual(block(512, 512), block(512, 512)),
        )
        self.classifier = nn.Linear(512, num_classes, bias=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map normalised images float32 ``(n, channels, height, width)`` to logits ``(n, num_classes)``."""
        logits: torch.Tensor = self.classifier(self.features(images).amax(dim=(2, 3)))
        return logits


class Residual(nn.Sequential):
    """Modules one after the other, whose input is added to their output."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Return maps of the same shape."""
        changed = maps
        for module in self:
            changed = module(changed)
        return maps + changed
