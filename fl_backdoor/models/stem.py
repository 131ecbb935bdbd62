"""Models that are made for colour images, on images of any number of channels."""

from torch import nn

COLOURS = 3


def take_channels(model: nn.Module, channels: int) -> None:
    """Put a fresh first convolution into `model` where its images do not have three channels.

    Parameters
    ----------
    model
        Changed in place.
    channels
        Of the images.

    Raises
    ------
    ValueError
        If no convolution of the model takes three channels.
    """
    if channels == COLOURS:
        return
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d) and module.in_channels == COLOURS:
            model.set_submodule(name, _with_channels(module, channels))
            return
    raise ValueError(f"has no convolution of {COLOURS} channels that could be made one of {channels}")


def _with_channels(convolution: nn.Conv2d, channels: int) -> nn.Conv2d:
    return nn.Conv2d(
        channels,
        convolution.out_channels,
        convolution.kernel_size,  # type: ignore[arg-type]  # tuples, of two in a Conv2d
        stride=convolution.stride,  # type: ignore[arg-type]
        padding=convolution.padding,  # type: ignore[arg-type]
        dilation=convolution.dilation,  # type: ignore[arg-type]
        bias=convolution.bias is not None,
    )
