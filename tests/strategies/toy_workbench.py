"""A workbench without the model's network, for rules on the made updates of `fl_backdoor.testing`."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from fl_backdoor.core.layout import Layout, TensorSpec
from strategies.workbench import RootData

NUM_SAMPLES, NUM_CLASSES = 3, 2

TRAIN_THE_NETWORK = {"backdoor_indicator"}
"""Strategies that need a real one; each is tried in a test of its own."""


def with_output_layer(num_params: int) -> Layout:
    """Return the layout of a model with an output layer of two classes and two features."""
    shapes = {"body": (num_params - 6,), "out.weight": (2, 2), "out.bias": (2,)}
    return Layout(tuple(TensorSpec(name, shape, "float32", True) for name, shape in shapes.items()))


def root_data(count: int = NUM_SAMPLES) -> RootData:
    return RootData(torch.zeros(count, 1, 2, 2), torch.zeros(count, dtype=torch.int64))


@dataclass(frozen=True)
class ToyWorkbench:
    """Features are the direction in which a model has moved, scores all the same.

    Parameters
    ----------
    length
        How far training on the server's own samples moves each parameter.
    num_params
        How many there are; None: all of the model's numbers.
    """

    length: float = 1.0
    num_params: int | None = None
    input_shape: tuple[int, ...] = (1, 2, 2)
    num_classes: int = NUM_CLASSES
    root: RootData = field(default_factory=root_data)

    def network(self, model):
        """Return a network that has nothing to do with the model."""
        return nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten(), nn.Linear(8, NUM_CLASSES)).eval()

    def arrays(self, network):
        raise NotImplementedError

    def scores(self, model, inputs):
        return np.zeros((len(inputs), NUM_CLASSES), np.float32)

    def features(self, model, inputs):
        """Return multiples of the direction from the model of `clients_of` to this one."""
        vector = np.concatenate([array.reshape(-1) for array in model]).astype(np.float64)
        vector -= np.random.default_rng(6).standard_normal(len(vector)).astype(np.float32)
        length = np.linalg.norm(vector)
        direction = vector / length if length > 0 else vector
        return np.outer(1 + np.arange(len(inputs)), direction).astype(np.float32)

    def train_on_root(self, model, server_round):
        count = self.num_params or sum(array.size for array in model)
        return np.full(count, self.length, np.float32)
