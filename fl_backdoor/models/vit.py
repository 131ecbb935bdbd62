"""A small vision transformer: torchvision's, with 4x4 patches; 2,693,578 parameters on 32x32 colour images.

A. Dosovitskiy et al., An Image Is Worth 16x16 Words, ICLR 2021, https://arxiv.org/abs/2010.11929, section
3.1; width and heads of DeiT-Ti (H. Touvron et al., Training Data-Efficient Image Transformers, ICML 2021,
https://arxiv.org/abs/2012.12877, table 1). Deviations for small images: patches of 4x4 pixels, not 16x16, so
that 32x32 images are 64 of them, and half of DeiT-Ti's twelve layers.
"""

from torch import nn
from torchvision.models import VisionTransformer

from fl_backdoor.core.types import PositiveCount, Share
from fl_backdoor.models.stem import take_channels


def vit(
    image_shape: tuple[int, int, int],
    num_classes: int,
    *,
    patch: PositiveCount = 4,
    dimension: PositiveCount = 192,
    depth: PositiveCount = 6,
    heads: PositiveCount = 3,
    dropout: Share = 0.0,
) -> nn.Module:
    """Return a vision transformer, untrained; its head starts at zero.

    Parameters
    ----------
    image_shape
        Channels, height, width; height and width equal, and a multiple of `patch`.
    num_classes
        Number of classes.
    patch
        Height and width of a patch in pixels.
    dimension
        How many numbers a patch is described by, a multiple of `heads`; dense layers have four times as many
        units.
    depth
        Number of layers.
    heads
        Number of heads of attention in each layer.
    dropout
        Share of what the embedding and each part of a layer return that training leaves out.

    Raises
    ------
    ValueError
        If patches do not cover the images, or heads do not share out the dimension.
    """
    channels, height, width = image_shape
    if height != width or height % patch:
        raise ValueError(f"images must be square and a multiple of {patch} pixels high, not {height}x{width}")
    if dimension % heads:
        raise ValueError(f"dimension must be a multiple of the {heads} heads, not {dimension}")
    model: nn.Module = VisionTransformer(
        image_size=height,
        patch_size=patch,
        num_layers=depth,
        num_heads=heads,
        hidden_dim=dimension,
        mlp_dim=4 * dimension,
        dropout=dropout,
        num_classes=num_classes,
    )
    take_channels(model, channels)
    return model
