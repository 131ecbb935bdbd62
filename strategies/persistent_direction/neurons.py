"""What is compared of an update: how far it moved all that goes into each neuron.

The gradient of a weight is its neuron's error times its input. Inputs that come from a ReLU are not
negative: all weights into a neuron are pushed the same way, each a part of the way. Attackers that share out
the weights among themselves have no weight in common, but neurons they have: whatever part of the inputs an
attacker works at, the sum over all of them tells which way it pushed.
"""

from dataclasses import replace

import numpy as np

from fl_backdoor.core.layout import Layout
from fl_backdoor.core.types import UpdateMatrix


def neurons_of(layout: Layout) -> Layout:
    """Return the layout of one number for each neuron: of each weight tensor its first axis.

    For a convolution that is one number for each filter, for an embedding one for each word. Biases and
    buffers are left out.
    """
    weights = [tensor for tensor in layout.tensors if tensor.is_parameter and len(tensor.shape) > 1]
    return Layout(tuple(replace(tensor, shape=tensor.shape[:1]) for tensor in weights))


def into_neurons(layout: Layout, updates: UpdateMatrix) -> UpdateMatrix:
    """Return the sum of each update over the weights into each neuron, float32 ``(n_clients, n_neurons)``."""
    sums = [
        part.reshape(len(updates), tensor.shape[0], -1).sum(axis=2)
        for tensor, part in layout.parts(updates)
        if len(tensor.shape) > 1
    ]
    return np.concatenate([np.zeros((len(updates), 0), np.float32), *sums], axis=1)
