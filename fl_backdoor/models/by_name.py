"""Image classifiers of torchvision and of timm by their names, untrained, with a head for the data's classes.

Grey images go into a fresh first convolution. Networks whose size follows from that of the images, such as
vision transformers, are built for that of the data; others take images as they are, or are refused where
these are too small for them. Nothing is downloaded.
"""

from collections.abc import Collection
from difflib import get_close_matches
from typing import Any

from torch import nn

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.models.stem import take_channels

Keywords = dict[str, Any]


def torchvision_model(
    image_shape: tuple[int, int, int], num_classes: int, *, name: str, keywords: Keywords | None = None
) -> nn.Module:
    """Return a classifier of torchvision.

    Parameters
    ----------
    image_shape
        Channels, height, width.
    num_classes
        Number of classes.
    name
        As ``torchvision.models.list_models(torchvision.models)`` has it.
    keywords
        What else its function takes, such as ``{dropout: 0.1}``.

    Raises
    ------
    ConfigError
        If there is no such classifier.
    """
    from torchvision import models

    _refuse_unknown(name, models.list_models(module=models), "torchvision")
    channels, height, width = image_shape
    settings: Keywords = {}
    if name.startswith("vit_"):
        settings = {"image_size": height}
    elif name.startswith("maxvit_"):
        settings = {"input_size": (height, width)}
    elif name in ("googlenet", "inception_v3"):
        # Further heads, which return logits of their own in training, have no place in this bench's loss.
        settings = {"aux_logits": False, "init_weights": True}
    model: nn.Module = models.get_model(
        name, weights=None, num_classes=num_classes, **{**settings, **(keywords or {})}
    )
    take_channels(model, channels)
    return model


def timm_model(
    image_shape: tuple[int, int, int], num_classes: int, *, name: str, keywords: Keywords | None = None
) -> nn.Module:
    """Return a classifier of timm, for which this package's extra of that name is needed.

    It takes what `torchvision_model` takes; `name` is as ``timm.list_models()`` has it, without the names of
    its weights, and `keywords` are such as ``{drop_rate: 0.1}``.

    Raises
    ------
    ConfigError
        If timm is not installed, or has no such classifier.
    """
    try:
        import timm
    except ImportError as error:
        missing = 'needs timm, which is not installed: pip install "fl-backdoor[timm]"'
        raise ConfigError("model", "timm", missing) from error
    _refuse_unknown(name, timm.list_models(), "timm")
    channels, *size = image_shape

    def built(**settings: Any) -> nn.Module:  # noqa: ANN401 - whatever the network takes
        model: nn.Module = timm.create_model(
            name,
            pretrained=False,
            checkpoint_path=None,
            num_classes=num_classes,
            in_chans=channels,
            **{**settings, **(keywords or {})},
        )
        return model

    try:
        return built(img_size=tuple(size))
    except TypeError as error:
        if "img_size" not in str(error):
            raise
        return built()  # a network for images of any size


def _refuse_unknown(name: str, known: Collection[str], where: str) -> None:
    if name in known:
        return
    near = get_close_matches(name, known)
    meant = f"; did you mean {' or '.join(near)}?" if near else ""
    raise ConfigError("model.name", name, f"no image classifier of {where}{meant}")
