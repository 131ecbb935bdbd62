"""Between a model's tensors and the flat vectors that defences work on.

Trained parameters form the vector; buffers (BatchNorm's statistics and counters) travel beside it, because
they are no gradients: a norm that counts them is ruled by the number of batches seen.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.errors import ReplyError
from fl_backdoor.core.types import ModelArrays, ParameterVector

LARGEST = 1e30
"""No state holds a larger number: differences of such numbers and their means stay within float32."""

LARGEST_COUNT = 2**53
"""No counter is larger: up to here float64, in which counters are merged, holds each integer."""

VARIANCE, COUNTER = "running_var", "num_batches_tracked"
"""Names that PyTorch's normalising layers give to what cannot be negative, and to what only grows."""

Merge = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""From values of all clients, float64 ``(n_clients, n_values)``, to one of each, float64 ``(n_values,)``."""


@dataclass(frozen=True)
class TensorSpec:
    """One tensor of a model: its name, shape, NumPy dtype, and whether it counts as a parameter."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    is_parameter: bool

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def num_bytes(self) -> int:
        """Size in memory."""
        return self.size * np.dtype(self.dtype).itemsize

    def require(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Refuse an array of another shape or dtype; raises ReplyError."""
        if shape != self.shape:
            raise ReplyError(f"{self.name} has shape {shape}, not {self.shape}")
        if dtype != np.dtype(self.dtype):
            raise ReplyError(f"{self.name} has dtype {dtype}, not {self.dtype}")


@dataclass(frozen=True)
class Layout:
    """The order, shapes and dtypes of a model's tensors, in ``state_dict`` order; each is there once."""

    tensors: tuple[TensorSpec, ...]

    @cached_property
    def num_params(self) -> int:
        """Length of the vector."""
        return sum(tensor.size for tensor in self.tensors if tensor.is_parameter)

    @cached_property
    def buffer_tensors(self) -> tuple[TensorSpec, ...]:
        """The tensors that are no parameters, in order."""
        return tuple(tensor for tensor in self.tensors if not tensor.is_parameter)

    def in_one_piece(self, dtype: str) -> TensorSpec:
        """Return what an update in one piece is, if it travels as `dtype`."""
        return TensorSpec("the update", (self.num_params,), dtype, is_parameter=True)

    def parts(self, vectors: NDArray[np.float32]) -> Iterator[tuple[TensorSpec, NDArray[np.float32]]]:
        """Yield each parameter and where it lies in vectors ``(..., n_params)``: a view ``(..., *shape)``."""
        start = 0
        for tensor in self.tensors:
            if tensor.is_parameter:
                part = vectors[..., start : start + tensor.size]
                yield tensor, part.reshape((*vectors.shape[:-1], *tensor.shape))
                start += tensor.size

    def as_counted(self, buffers: str) -> "Layout":
        """Return the layout that ``server.buffers`` asks for.

        ``as_parameters``: the vector holds every tensor, as in the article's listing.
        """
        if buffers != "as_parameters":
            return self
        return Layout(tuple(replace(tensor, is_parameter=True) for tensor in self.tensors))

    def check(self, arrays: Sequence[NDArray[np.generic]]) -> None:
        """Refuse arrays that are not a finite state of this model.

        Raises
        ------
        ReplyError
            If a tensor is missing or too many, has another shape or dtype, or holds NaN, Inf or a number
            beyond `LARGEST` (`LARGEST_COUNT` for integers).
        """
        _check(self.tensors, arrays)

    def check_buffers(self, arrays: Sequence[NDArray[np.generic]]) -> None:
        """Refuse arrays that are not finite buffers of this model; raises like `check`."""
        _check(self.buffer_tensors, arrays)

    def check_statistics(self, buffers: ModelArrays, origin: ModelArrays) -> None:
        """Refuse buffers that no training can have made of those of a state `origin`.

        Raises
        ------
        ReplyError
            If a variance is negative, or a counter is, or is less than before.
        """
        for tensor, after, before in zip(self.buffer_tensors, buffers, self.buffers(origin), strict=True):
            kind = tensor.name.rpartition(".")[2]
            if kind == VARIANCE and np.less(after, 0).any():
                raise ReplyError(f"{tensor.name} holds a negative variance")
            if kind == COUNTER and np.less(after, np.maximum(before, 0)).any():
                raise ReplyError(f"{tensor.name} is negative, or less than it was sent as")

    def check_vector(self, update: NDArray[np.generic], dtype: str) -> None:
        """Refuse what is not an update in one piece, of the given dtype; raises like `check`."""
        _check([self.in_one_piece(dtype)], [update])

    def buffers(self, arrays: ModelArrays) -> ModelArrays:
        """Return those of a state's arrays that are no parameters, in order."""
        return [array for tensor, array in zip(self.tensors, arrays, strict=True) if not tensor.is_parameter]

    def vector(self, arrays: ModelArrays) -> ParameterVector:
        """Return the parameters of a state, float32 ``(n_params,)``."""
        parameters = [
            array.reshape(-1)
            for tensor, array in zip(self.tensors, arrays, strict=True)
            if tensor.is_parameter
        ]
        return np.concatenate(parameters).astype(np.float32)

    def update(self, local: ModelArrays, origin: ModelArrays) -> ParameterVector:
        """Return local minus global parameters, float32 ``(n_params,)``; raises like `check`."""
        update = np.empty(self.num_params, dtype=np.float32)
        self.write_update(local, origin, update)
        return update

    def write_update(self, local: ModelArrays, origin: ModelArrays, out: ParameterVector) -> None:
        """Check a client's state and write local minus global parameters.

        Parameters
        ----------
        local, origin
            States, in ``state_dict`` order.
        out
            float32 ``(n_params,)``; untouched if the state is refused.

        Raises
        ------
        ReplyError
            As `check`.
        """
        self.check(local)
        parts = self.parts(out)
        for tensor, after, before in zip(self.tensors, local, origin, strict=True):
            if tensor.is_parameter:
                _, target = next(parts)
                # Counters, where they count as parameters, are turned into float32 first.
                np.subtract(after, before, out=target, dtype=np.float32, casting="unsafe")

    def moved(self, arrays: ModelArrays, movement: ParameterVector, buffers: ModelArrays) -> ModelArrays:
        """Return the state whose parameters are those of `arrays` plus `movement`.

        Integers are rounded.

        Parameters
        ----------
        arrays
            The state to start from.
        movement
            float32 ``(n_params,)``.
        buffers
            The new value of each tensor that is no parameter, in order.
        """
        moved: ModelArrays = []
        parts, remaining = self.parts(movement), iter(buffers)
        for tensor, array in zip(self.tensors, arrays, strict=True):
            if not tensor.is_parameter:
                moved.append(next(remaining))
                continue
            _, part = next(parts)
            moved.append(_as_dtype(np.add(array, part), tensor.dtype))
        return moved

    def merged_buffers(self, buffers: Sequence[ModelArrays], merge: Merge) -> ModelArrays:
        """Return each buffer merged over clients; integers are rounded.

        Parameters
        ----------
        buffers
            The buffers of each client, in order.
        merge
            From a buffer's values, float64 ``(n_clients, n_values)``, to those of the global model,
            ``(n_values,)``.
        """
        merged: ModelArrays = []
        for index, tensor in enumerate(self.buffer_tensors):
            values = np.stack([arrays[index].reshape(-1) for arrays in buffers]).astype(np.float64)
            merged.append(_as_dtype(merge(values).reshape(tensor.shape), tensor.dtype))
        return merged


def _check(tensors: Sequence[TensorSpec], arrays: Sequence[NDArray[np.generic]]) -> None:
    if len(arrays) != len(tensors):
        raise ReplyError(f"{len(arrays)} tensors instead of {len(tensors)}")
    for tensor, array in zip(tensors, arrays, strict=True):
        tensor.require(array.shape, array.dtype)
        largest = LARGEST_COUNT if np.issubdtype(array.dtype, np.integer) else LARGEST
        # NaN fails both comparisons.
        if array.size and not (array.min().item() >= -largest and array.max().item() <= largest):
            raise ReplyError(f"{tensor.name} holds NaN, Inf or numbers beyond {largest:.0e}")


def _as_dtype(array: NDArray[Any], dtype: str) -> NDArray[np.generic]:
    """Convert to `dtype`; a cast to integers or booleans alone would cut off where rounding is due."""
    rounded = array if np.issubdtype(np.dtype(dtype), np.floating) else np.rint(array)
    # NumPy turns arrays without axes into scalars, which Flower does not take.
    return np.asarray(rounded).astype(dtype)
