"""Tensors that go by several names: a tied weight is one parameter, a shared buffer one buffer.

Whatever counts, sends or moves tensors sees each once, by its first name as a parameter, or by its first name
where nobody trains it. Who reads a model's file finds all names.
"""

from collections.abc import Hashable, Iterator
from operator import itemgetter

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from fl_backdoor.core.errors import ConfigError


def own_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return the tensors of a model's ``state_dict`` by name and in its order, each once."""
    state, trained = model.state_dict(), {name for name, _ in model.named_parameters()}
    names: dict[Hashable, str] = {}
    for name in sorted(state, key=lambda name: name not in trained):
        names.setdefault(_memory(state[name]), name)
    own = set(names.values())
    return {name: tensor for name, tensor in state.items() if name in own}


def moved(model: nn.Module, device: torch.device) -> nn.Module:
    """Move a model to a device, in channels-last memory; what is one tensor stays one.

    `nn.Module.to` keeps a parameter that is used twice, and parts buffers, and parameters that were made of
    each other.

    Raises
    ------
    ConfigError
        If a parameter is a view, as one made of a transposed weight is: on a GPU it would be so no longer.
    """
    _refuse_views(model)
    before = [(module, name, _memory(tensor)) for module, name, tensor in _places(model)]
    model.to(memory_format=torch.channels_last).to(device)
    owners: dict[Hashable, torch.Tensor] = {}
    for module, name, memory in before:
        tensor = getattr(module, name)
        owner = owners.setdefault(memory, tensor)
        if owner is not tensor:
            setattr(module, name, owner if isinstance(tensor, nn.Parameter) else owner.detach())
    return model


def _places(model: nn.Module) -> Iterator[tuple[nn.Module, str, torch.Tensor]]:
    """Yield each tensor and where it hangs in the model, all parameters before the first buffer."""
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            yield module, name, parameter
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False, remove_duplicate=False):
            yield module, name, buffer


def _refuse_views(model: nn.Module) -> None:
    """Refuse a parameter that has a part of its memory in common with another tensor, and not all of it."""
    tensors = [*model.named_parameters(), *model.named_buffers()]
    in_memory = [(tensor.data_ptr(), name, tensor) for name, tensor in tensors if not _has_no_memory(tensor)]
    end, before, other = 0, "", torch.empty(0)
    for start, name, tensor in sorted(in_memory, key=itemgetter(0)):
        is_trained = isinstance(tensor, nn.Parameter) or isinstance(other, nn.Parameter)
        if start < end and is_trained and _memory(tensor) != _memory(other):
            raise ConfigError(
                "model", name, f"no view of {before}; whole tensors can be tied: a.weight = b.weight"
            )
        steps = sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True))
        if (its_end := start + (steps + 1) * tensor.element_size()) > end:
            end, before, other = its_end, name, tensor


def _memory(tensor: torch.Tensor) -> Hashable:
    """Return what two tensors have in common if whatever is written to one is in the other as well."""
    if _has_no_memory(tensor):
        return id(tensor)
    return tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype


def _has_no_memory(tensor: torch.Tensor) -> bool:
    return is_lazy(tensor) or tensor.numel() == 0
