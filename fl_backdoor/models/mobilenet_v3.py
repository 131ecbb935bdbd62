"""MobileNetV3 small, torchvision's: 1,528,106 parameters for 10 classes of colour images.

A. Howard et al., Searching for MobileNetV3, ICCV 2019, https://arxiv.org/abs/1905.02244, table 2. Deviation
for small images: the first convolution and the first bottleneck have stride 1, not 2, so that 32x32 images
end in maps of 4x4, not of a single pixel, of which BatchNorm would have little to count.
"""

from torch import nn
from torchvision.models import mobilenet_v3_small as torchvision_mobilenet_v3_small

from fl_backdoor.core.types import Share
from fl_backdoor.models.stem import take_channels


def mobilenet_v3_small(
    image_shape: tuple[int, int, int], num_classes: int, *, dropout: Share = 0.2
) -> nn.Module:
    """Return MobileNetV3 small for small images, untrained.

    Parameters
    ----------
    image_shape
        Channels, height, width.
    num_classes
        Number of classes.
    dropout
        Share of inputs of the last layer that training leaves out.
    """
    model: nn.Module = torchvision_mobilenet_v3_small(weights=None, num_classes=num_classes, dropout=dropout)
    strided = [one for one in model.modules() if isinstance(one, nn.Conv2d) and one.stride == (2, 2)]
    for convolution in strided[:2]:
        convolution.stride = (1, 1)
    take_channels(model, image_shape[0])
    return model
