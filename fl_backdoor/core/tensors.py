"""Between NumPy arrays and tensors."""

import warnings

import numpy as np
import torch
from numpy.typing import NDArray

from fl_backdoor.core.types import NO_CLASS


def as_tensor(array: NDArray[np.generic]) -> torch.Tensor:
    """Return a tensor on the memory of `array`, which may be read-only; nobody may write to it then."""
    if array.flags.writeable:
        return torch.from_numpy(array)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def as_array(tensor: torch.Tensor) -> NDArray[np.generic]:
    """Return a copy of `tensor` in main memory, C-contiguous."""
    copied = tensor.detach().to("cpu", memory_format=torch.contiguous_format, copy=True)
    array: NDArray[np.generic] = copied.numpy()
    return array


def predicted_classes(logits: torch.Tensor) -> torch.Tensor:
    """Return classes, int64 ``(n,)``, of logits ``(n, num_classes)``; `NO_CLASS` where not all are finite."""
    return logits.argmax(dim=1).masked_fill_(~logits.isfinite().all(dim=1), NO_CLASS)
