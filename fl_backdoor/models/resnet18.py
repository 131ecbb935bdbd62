"""ResNet-18, in torchvision's form and with a stem for small images.

K. He et al., Deep Residual Learning for Image Recognition, CVPR 2016, https://arxiv.org/abs/1512.03385.
Deviation for small images: a 3x3 convolution of stride 1 and no max pooling in front, so that 32x32 images
keep their resolution; the four stages keep ImageNet's widths.
"""

from torch import nn
from torchvision.models import resnet18 as torchvision_resnet18


def resnet18_imagenet(image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """Return torchvision's ResNet-18, untrained; `image_shape` is channels, height, width."""
    model: nn.Module = torchvision_resnet18(weights=None, num_classes=num_classes)
    channels = image_shape[0]
    if channels != 3:
        model.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
    return model


def resnet18(image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """Return ResNet-18 with a 3x3 stem, untrained; `image_shape` is channels, height, width."""
    model = resnet18_imagenet(image_shape, num_classes)
    model.conv1 = nn.Conv2d(image_shape[0], 64, 3, padding=1, bias=False)
    model.maxpool = nn.Identity()
    return model
