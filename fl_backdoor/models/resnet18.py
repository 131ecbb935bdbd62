"""ResNet-18, in torchvision's form and with a stem for small images.

K. He et al., Deep Residual Learning for Image Recognition, CVPR 2016, https://arxiv.org/abs/1512.03385.
Deviation for small images: a 3x3 convolution of stride 1 and no max pooling in front, so that 32x32 images
keep their resolution; the four stages keep ImageNet's widths.

With GroupNorm for BatchNorm, two groups a layer: S. Reddi et al., Adaptive Federated Optimization, ICLR 2021,
https://arxiv.org/abs/2003.00295, on CIFAR-100; there with ImageNet's stem. Nothing of a client's samples is
then in the model but what training made of its weights.

Of half the width, with PyTorch's own initial weights: as in the code of DBA, Neurotoxin and A3FL
(``models/resnet_cifar.py`` of https://github.com/AI-secure/DBA).
"""

from functools import partial

from torch import nn
from torchvision.models import resnet18 as torchvision_resnet18
from torchvision.models.resnet import BasicBlock

from fl_backdoor.core.types import PositiveCount


def resnet18_imagenet(image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """Return torchvision's ResNet-18, untrained; `image_shape` is channels, height, width."""
    model: nn.Module = torchvision_resnet18(weights=None, num_classes=num_classes)
    channels = image_shape[0]
    if channels != 3:
        model.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
    return model


def resnet18(image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """Return ResNet-18 with a 3x3 stem, untrained; `image_shape` is channels, height, width."""
    return _small_stem(resnet18_imagenet(image_shape, num_classes), image_shape[0])


def resnet18_group_norm(
    image_shape: tuple[int, int, int], num_classes: int, *, groups: PositiveCount = 2
) -> nn.Module:
    """Return ResNet-18 with a 3x3 stem and GroupNorm, untrained.

    Parameters
    ----------
    image_shape
        Channels, height, width.
    num_classes
        Number of classes.
    groups
        Of channels in each GroupNorm, a divisor of 64.
    """
    model: nn.Module = torchvision_resnet18(
        weights=None, num_classes=num_classes, norm_layer=partial(nn.GroupNorm, groups)
    )
    return _small_stem(model, image_shape[0])


def resnet18_narrow(
    image_shape: tuple[int, int, int], num_classes: int, *, width: PositiveCount = 32
) -> nn.Module:
    """Return ResNet-18 with a 3x3 stem and stages of `width`, 2, 4 and 8 times `width` channels, untrained.

    Parameters
    ----------
    image_shape
        Channels, height, width.
    num_classes
        Number of classes.
    width
        Channels of the stem and the first stage.
    """
    stem = nn.Conv2d(image_shape[0], width, 3, padding=1, bias=False)
    layers: list[nn.Module] = [stem, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
    inputs = width
    for outputs in (width, 2 * width, 4 * width, 8 * width):
        layers += [_block(inputs, outputs), _block(outputs, outputs)]
        inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, num_classes))


def _block(inputs: int, outputs: int) -> nn.Module:
    """Return a residual block, which halves its maps where it has more channels than they."""
    stride, shortcut = 1, None
    if inputs != outputs:
        stride = 2
        shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
    block: nn.Module = BasicBlock(inputs, outputs, stride, shortcut)
    return block


def _small_stem(model: nn.Module, channels: int) -> nn.Module:
    model.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
    model.maxpool = nn.Identity()
    return model
