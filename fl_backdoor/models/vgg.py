"""VGG with eight convolutions: VGG-9 with one dense layer, VGG-11 with three.

K. Simonyan, A. Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, ICLR 2015,
https://arxiv.org/abs/1409.1556, table 1, column A, and its dropout (section 3.1). Deviations for small
images: dense layers of 512 units, not 4,096, for what is left of 32x32 pixels halved five times is a single
one; and BatchNorm where asked for, which the paper did not have yet.

VGG-9 is the one of H. Wang et al., Attack of the Tails: Yes, You Really Can Backdoor Federated Learning,
NeurIPS 2020, https://github.com/ksreenivasan/OOD_Federated_Learning: no hidden dense layer, no BatchNorm.
Other papers call other networks VGG-9.
"""

from itertools import pairwise

import torch
from torch import nn

from fl_backdoor.core.types import PositiveCount, Share

STAGES = ((64,), (128,), (256, 256), (512, 512), (512, 512))
"""Channels of the convolutions, stage by stage; each stage ends in max pooling."""


class VGG(nn.Module):
    """Convolutions of 3x3 in five stages, and dense layers.

    Parameters
    ----------
    image_shape
        Channels, height, width. Halves are rounded up, so that images of any size go through; what is left of
        larger ones is averaged.
    num_classes
        Number of classes.
    hidden
        Units of the dense layers before the last.
    dropout
        Share of inputs of each of the `hidden` layers that training leaves out.
    batch_norm
        Whether each convolution has BatchNorm.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        num_classes: int,
        *,
        hidden: tuple[PositiveCount, ...] = (),
        dropout: Share = 0.5,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = image_shape[0]
        for stage in STAGES:
            for inputs, outputs in pairwise((channels, *stage)):
                layers.append(nn.Conv2d(inputs, outputs, 3, padding=1))
                if batch_norm:
                    layers.append(nn.BatchNorm2d(outputs))
                layers.append(nn.ReLU(inplace=True))
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
            channels = stage[-1]
        self.features = nn.Sequential(*layers)
        dense: list[nn.Module] = []
        for inputs, outputs in pairwise((channels, *hidden)):
            dense += [nn.Dropout(dropout), nn.Linear(inputs, outputs), nn.ReLU(inplace=True)]
        self.classifier = nn.Sequential(*dense, nn.Linear((channels, *hidden)[-1], num_classes))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                # Without BatchNorm, PyTorch's own weights let the signal fade from layer to layer.
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map normalised images float32 ``(n, channels, height, width)`` to logits ``(n, num_classes)``."""
        logits: torch.Tensor = self.classifier(self.features(images).mean(dim=(2, 3)))
        return logits
