"""Weights from a file put into a model, by the names of its tensors.

A safetensors file holds tensors and nothing else. What ``torch.save`` wrote is a pickle, which can run code:
PyTorch reads it with ``weights_only=True``, which takes tensors and plain values alone.
"""

import hashlib
import io
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import nn

from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.core.foreign_text import printable
from fl_backdoor.models.ties import own_tensors

SAFETENSORS = ".safetensors"

STATE_DICT = "state_dict"
"""Where checkpoints hold it that say more, such as the round."""

MOST_NAMED = 4
"""Tensors in a message."""

Tensors = Mapping[str, torch.Tensor]
"""Tensors by name."""


class UnfitWeights(FlBackdoorError):  # noqa: N818 - the text names what is wrong, its catcher where
    """There are no weights, or they do not fit the model."""


def read(path: Path, sha256: str | None = None) -> Tensors:
    """Return the tensors in a file by name.

    Parameters
    ----------
    path
        ``.safetensors``, or what ``torch.save`` wrote: a state dict, or one under `STATE_DICT` in a dict.
    sha256
        The digest that it must have; None: any.

    Raises
    ------
    UnfitWeights
        If it cannot be read, is another file, or holds something else than tensors by name.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnfitWeights(f"cannot be read: {error.strerror or error}") from error
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise UnfitWeights("has changed since the run was asked for")
    return _safetensors(content) if path.suffix == SAFETENSORS else _state_dict(content)


def put(model: nn.Module, found: Tensors, *, strict: bool, head: Collection[str] = ()) -> list[str]:
    """Copy tensors into a model, and return the names of those of its own that none was found for.

    Numbers are converted to the model's own kind of floating-point numbers or integers.

    Parameters
    ----------
    model
        Unchanged where an error is raised.
    found
        Tensors by the names of the model's ``state_dict``; a tied one may go by any number of its names.
    strict
        Whether there must be just the model's tensors. Otherwise what does not fit is left aside.
    head
        Names of tensors that may have another shape in any case.

    Raises
    ------
    UnfitWeights
        If names or shapes differ although they must not, no tensor fits at all, or one is not finite.
    """
    state, own = model.state_dict(), own_tensors(model)
    absent = [name for name in own if name not in found]
    unknown = [name for name in found if name not in state]
    others = [name for name in state if name in found and not _fits(found[name], state[name])]
    foreign = [name for name in others if name not in head]
    if strict and (absent or unknown or foreign):
        raise UnfitWeights(_differences(absent, unknown, foreign, found, state))
    fitting = [name for name in state if name in found and name not in others]
    if not fitting:
        raise UnfitWeights(f"no tensor fits the model; {_differences(absent, unknown, others, found, state)}")
    for name in fitting:
        if not _is_finite(found[name]):
            raise UnfitWeights(f"{name} holds NaN or Inf")
    with torch.no_grad():
        for name in fitting:
            state[name].copy_(found[name])
    return [name for name in own if name not in fitting]


def named(names: Sequence[str]) -> str:
    """Return the first names in a line, and how many others there are."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return printable(", ".join(names[:MOST_NAMED])) + more


def _safetensors(content: bytes) -> Tensors:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise UnfitWeights(f"is no safetensors file ({_first_line(error)})") from error


def _state_dict(content: bytes) -> Tensors:
    try:
        found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        allowed = (
            "is no state dict: torch.load(weights_only=True) refuses what is in it; save model.state_dict()"
        )
        raise UnfitWeights(allowed) from error
    except Exception as error:  # whatever such a file leads to
        raise UnfitWeights(f"is neither .safetensors nor a state dict ({_first_line(error)})") from error
    if isinstance(found, Mapping) and isinstance(found.get(STATE_DICT), Mapping):
        found = found[STATE_DICT]
    if not isinstance(found, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in found.items()
    ):
        raise UnfitWeights(f"holds something else than tensors by name, or than a {STATE_DICT} of such")
    return found


def _fits(tensor: torch.Tensor, wanted: torch.Tensor) -> bool:
    return tensor.shape == wanted.shape and tensor.is_floating_point() == wanted.is_floating_point()


def _is_finite(tensor: torch.Tensor) -> bool:
    # The extremes of numbers among which there is a NaN are NaN; isfinite takes ten times as long.
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    return all(math.isfinite(extreme.item()) for extreme in tensor.aminmax())


def _differences(
    absent: Sequence[str], unknown: Sequence[str], others: Sequence[str], found: Tensors, state: Tensors
) -> str:
    """Say in one line how the tensors in a file differ from those of a model."""
    shapes = [f"{name} is {_kind(found[name])}, not {_kind(state[name])}" for name in others]
    parts = [("lacks", absent), ("has what the model has not:", unknown), ("of another kind:", shapes)]
    return "; ".join(f"{what} {named(which)}" for what, which in parts if which)


def _kind(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


def _first_line(error: Exception) -> str:
    return printable(f"{type(error).__name__}: {error}".splitlines()[0])
