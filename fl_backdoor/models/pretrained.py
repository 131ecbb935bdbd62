"""Weights that torchvision publishes under a name, from its cache on disk or from the network."""

from collections.abc import Collection
from urllib.parse import urlsplit

import torch

from fl_backdoor.models.weights import Tensors, UnfitWeights


def torchvision_weights(name: str) -> tuple[Tensors, Collection[str]]:
    """Return the tensors of published weights by name, and which of them are of the last layer.

    Parameters
    ----------
    name
        Such as ``ResNet18_Weights.IMAGENET1K_V1``, as torchvision's documentation has it.

    Returns
    -------
    tuple
        Tensors by name, and the names of those whose first axis are the classes that they were trained on.

    Raises
    ------
    UnfitWeights
        If there are no such weights, or they are neither on disk nor can be downloaded.
    """
    from torchvision.models import get_weight

    try:
        published = get_weight(name).value
    except (ValueError, KeyError) as error:
        example = "ResNet18_Weights.IMAGENET1K_V1"
        raise UnfitWeights(f"torchvision has no such weights; a name is written like {example}") from error
    folder = f"{torch.hub.get_dir()}/checkpoints"
    file = urlsplit(published.url).path.rpartition("/")[2]
    try:
        found: Tensors = torch.hub.load_state_dict_from_url(
            published.url, map_location="cpu", progress=False, check_hash=True, weights_only=True
        )
    except OSError as error:  # urllib's are among them
        reason = f"{file} is not in {folder}, and cannot be downloaded from {published.url} ({error})"
        raise UnfitWeights(reason) from error
    except Exception as error:  # of a file that is something else
        reason = f"{folder}/{file} is not what {published.url} is ({type(error).__name__}): remove it"
        raise UnfitWeights(reason) from error
    num_classes = len(published.meta["categories"])
    return found, [name for name, tensor in found.items() if tensor.shape[:1] == (num_classes,)]
