"""Building a model, and moving its state in and out as NumPy arrays."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from fl_backdoor import plugins
from fl_backdoor.tensors import as_array, as_tensor
from fl_backdoor.types import ModelArrays
from fl_backdoor.updates import Layout, TensorSpec


def build_model(spec: plugins.Spec, described: Mapping[str, Any], num_classes: int, seed: int) -> nn.Module:
    """Build the model that `spec` names, its weights drawn from `seed` alone, in channels-last memory.

    `described` says what its samples are, by the names of its parameters: ``image_shape``, say.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: nn.Module = plugins.build(spec, "model", **described, num_classes=num_classes)
    return model.to(memory_format=torch.channels_last)


def layout_of(model: nn.Module) -> Layout:
    """Return the layout of a model's ``state_dict``."""
    trained = {name for name, _ in model.named_parameters()}
    return Layout(
        tuple(
            TensorSpec(name, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."), name in trained)
            for name, tensor in model.state_dict().items()
        )
    )


def state_arrays(model: nn.Module) -> ModelArrays:
    """Return copies of a model's tensors, C-contiguous, in ``state_dict`` order."""
    return [as_array(tensor) for tensor in model.state_dict().values()]


def load_arrays(model: nn.Module, arrays: Sequence[np.ndarray]) -> None:
    """Copy `arrays`, in ``state_dict`` order and read-only if need be, into a model."""
    with torch.no_grad():
        for tensor, array in zip(model.state_dict().values(), arrays, strict=True):
            tensor.copy_(as_tensor(array))
