"""The layout of a model as a Flower app has it: arrays by name."""

from collections.abc import Collection, Mapping
from typing import Protocol

import numpy as np

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.layout import Layout, TensorSpec

BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
"""Last parts of the names that PyTorch gives to BatchNorm's buffers."""


class NamedArray(Protocol):
    """What Flower's ``Array`` and NumPy's arrays have in common."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""

    @property
    def dtype(self) -> object:
        """NumPy's dtype, or its name."""


def layout_of(arrays: Mapping[str, NamedArray], buffers: Collection[str] | None = None) -> Layout:
    """Return the layout of a model as a Flower app has it.

    Tied weights that go by two names count twice: rules treat both alike, but for FLAME's noise.

    Parameters
    ----------
    arrays
        Under the names of its tensors, such as an ``ArrayRecord``.
    buffers
        Names of those that are no parameters; None: what PyTorch calls BatchNorm's buffers. Arrays of
        integers never are parameters.

    Raises
    ------
    ConfigError
        If there is no such buffer, or nothing to train.
    """
    if unknown := sorted(set(buffers or ()) - set(arrays)):
        raise ConfigError("buffers", unknown[0], f"no such array; there are {', '.join(arrays)}")

    def is_parameter(name: str, array: NamedArray) -> bool:
        is_buffer = name.rpartition(".")[2] in BUFFERS if buffers is None else name in buffers
        return not is_buffer and is_floating(array.dtype)

    layout = Layout(
        tuple(
            TensorSpec(name, tuple(array.shape), str(array.dtype), is_parameter(name, array))
            for name, array in arrays.items()
        )
    )
    if not layout.num_params:
        raise ConfigError("arrays", ", ".join(arrays) or "none", "hold no floating-point numbers to train")
    return layout


def is_floating(dtype: object) -> bool:
    """Return whether a dtype, or its name, is of floating-point numbers."""
    return np.issubdtype(np.dtype(str(dtype)), np.floating)
