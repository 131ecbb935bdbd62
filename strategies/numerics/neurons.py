"""How much each neuron of a model may amplify what it is given, from its weights alone.

A tensor of weights with at least two axes is a layer: along the first are its neurons, a convolution's output
channels, along the second what they are given. In state_dict order a BatchNorm after it has as many channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.layout import VARIANCE, Layout, TensorSpec
from fl_backdoor.core.types import ModelArrays

BATCH_NORM_EPSILON = 1e-5
"""What PyTorch's BatchNorm adds to a variance unless it is told otherwise."""

Amplifications = NDArray[np.float64]
"""Of the neurons of a layer, float64 ``(n_neurons,)``."""


@dataclass(frozen=True)
class Layer:
    """Where a layer's weights are in a model, and the BatchNorm's that follows it.

    Parameters
    ----------
    weights
        Index of the tensor.
    variance
        Index of the deviations' squares by which its neurons are divided; None: no BatchNorm follows.
    scale
        Index of what they are multiplied by then; None: nothing.
    """

    weights: int
    variance: int | None = None
    scale: int | None = None

    def amplifications(self, model: ModelArrays) -> Amplifications:
        """Return each neuron's spectral norm, times what the BatchNorm makes of it.

        Parameters
        ----------
        model
            A model's tensors, in ``state_dict`` order.
        """
        weights = model[self.weights].astype(np.float64)
        found = spectral_norms(weights.reshape(*weights.shape[:2], prod(weights.shape[2:])))
        if self.variance is not None:
            variance = np.maximum(model[self.variance].astype(np.float64), 0)
            found = found / np.sqrt(variance + BATCH_NORM_EPSILON)
        return found if self.scale is None else found * np.abs(model[self.scale].astype(np.float64))


def layers_of(layout: Layout) -> list[Layer]:
    """Return the layers of a model, in order; none, if no parameter has two axes."""
    indices = {tensor.name: index for index, tensor in enumerate(layout.tensors)}
    found: list[Layer] = []
    for index, tensor in enumerate(layout.tensors):
        name, _, kind = tensor.name.rpartition(".")
        if tensor.is_parameter and len(tensor.shape) > 1:
            found.append(Layer(index))
        elif kind == VARIANCE and found and _follows(found[-1], tensor, layout.tensors):
            found[-1] = Layer(found[-1].weights, index, indices.get(f"{name}.weight"))
    return found


def _follows(layer: Layer, variance: TensorSpec, tensors: Sequence[TensorSpec]) -> bool:
    return layer.variance is None and tensors[layer.weights].shape[:1] == variance.shape


def spectral_norms(matrices: NDArray[np.float64]) -> Amplifications:
    """Return the largest singular value of each matrix, by the smaller of its Gram matrices.

    Parameters
    ----------
    matrices
        float64 ``(n, rows, columns)``, no number beyond 1e150.
    """
    rows, columns = matrices.shape[1:]
    if min(rows, columns) == 1:
        lengths: Amplifications = np.linalg.norm(matrices, axis=(1, 2))
        return lengths
    transposed = np.swapaxes(matrices, 1, 2)
    gram = matrices @ transposed if rows < columns else transposed @ matrices
    largest: Amplifications = np.sqrt(np.maximum(np.linalg.eigvalsh(gram)[:, -1], 0))
    return largest
