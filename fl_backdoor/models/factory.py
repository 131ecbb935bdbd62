"""Building a model, and moving its state in and out as NumPy arrays."""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.parameter import is_lazy

from fl_backdoor.core import plugins
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.layout import Layout, TensorSpec
from fl_backdoor.core.tensors import as_array, as_tensor
from fl_backdoor.core.types import ModelArrays, ParameterVector
from fl_backdoor.models.ties import moved, own_tensors

CPU = torch.device("cpu")


def build_model(
    spec: plugins.Spec,
    described: Mapping[str, Any],
    num_classes: int,
    seed: int,
    device: torch.device = CPU,
    *,
    inputs: Callable[[], torch.Tensor] | None = None,
) -> nn.Module:
    """Build the model that `spec` names, its weights drawn from `seed` alone, in channels-last memory.

    Parameters
    ----------
    spec
        Plug-in and settings.
    described
        What its samples are, by the names of its parameters: ``image_shape``, say.
    num_classes, seed
        Number of classes; seed of the weights.
    device
        Where the model goes.
    inputs
        Returns a small batch on the CPU, from which lazy modules learn their sizes; asked for by them alone.

    Raises
    ------
    ConfigError
        If its settings are wrong, it is no ``torch.nn.Module``, or one of its tensors is a view of another.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: nn.Module = plugins.build(spec, "model", **described, num_classes=num_classes)
        if not isinstance(model, nn.Module):
            reason = f"makes a {type(model).__name__}, not a torch.nn.Module"
            raise ConfigError(f"model.{plugins.TARGET}", spec[plugins.TARGET], reason)
        if inputs is not None and any(map(is_lazy, chain(model.parameters(), model.buffers()))):
            with torch.no_grad():
                model.eval()(inputs())
            model.train()
    return moved(model, device)


def layout_of(model: nn.Module) -> Layout:
    """Return the layout of a model's own tensors, those of its ``state_dict``, each once.

    A parameter that is frozen (``requires_grad`` is false) counts as one: honest clients leave it as it is,
    and whoever moves it is seen. Buffers that are not in the ``state_dict`` (``persistent=False``) do not
    travel.
    """
    trained = {name for name, _ in model.named_parameters()}
    return Layout(
        tuple(
            TensorSpec(name, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."), name in trained)
            for name, tensor in own_tensors(model).items()
        )
    )


def state_arrays(model: nn.Module) -> ModelArrays:
    """Return copies of a model's own tensors, C-contiguous, in the order of `layout_of`."""
    return [as_array(tensor) for tensor in own_tensors(model).values()]


def named_arrays(model: nn.Module) -> dict[str, NDArray[np.generic]]:
    """Return copies of all tensors of a model's ``state_dict``, a tied one under each of its names."""
    return {name: as_array(tensor) for name, tensor in model.state_dict().items()}


def load_arrays(model: nn.Module, arrays: Sequence[np.ndarray]) -> None:
    """Copy `arrays`, in the order of `layout_of` and read-only if need be, into a model."""
    with torch.no_grad():
        for tensor, array in zip(own_tensors(model).values(), arrays, strict=True):
            tensor.copy_(as_tensor(array))


def trained_parts(model: nn.Module, layout: Layout, vector: ParameterVector) -> list[torch.Tensor]:
    """Return the parts of a vector, float32 ``(n_params,)``, that belong to what is trained of a model.

    In the model's order, in the shapes and on the device of its parameters.
    """
    by_name = {tensor.name: part for tensor, part in layout.parts(vector)}
    return [
        torch.tensor(by_name[name], dtype=parameter.dtype, device=parameter.device)
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    ]


def first_not_finite(model: nn.Module) -> str | None:
    """Return the name of the first parameter or buffer that holds NaN or Inf; None: all are finite."""
    for name, tensor in model.state_dict().items():
        if not tensor.isfinite().all():
            return name
    return None
