"""The indicator task: images that mean nothing, with labels drawn at random, and how a network learns it."""

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from numpy.typing import NDArray
from torch import nn

from fl_backdoor.core.types import ModelArrays
from fl_backdoor.training.optimizers.choice import optimizer_of
from strategies.removal.training import settings_of
from strategies.torch_workbench import one_thread
from strategies.workbench import Workbench

BATCH_SIZE = 64
WEIGHT_DECAY = 5e-4
MILESTONES, DECAY = (10, 20, 30, 160), 0.8
"""After so many epochs the learning rate is multiplied by `DECAY`, as in the authors' settings."""


@dataclass(frozen=True)
class IndicatorTask:
    """Samples and their labels.

    Parameters
    ----------
    inputs
        Uniform in [0, 1), float32 ``(n, *input_shape)``.
    labels
        Each class as often as any other, but for one, int64 ``(n,)``.
    """

    inputs: torch.Tensor
    labels: torch.Tensor

    @classmethod
    def drawn(cls, workbench: Workbench, num_samples: int, random: np.random.Generator) -> "IndicatorTask":
        """Draw the samples for a workbench's network."""
        inputs = random.random((num_samples, *workbench.input_shape), dtype=np.float32)
        labels = random.permutation(np.arange(num_samples) % workbench.num_classes)
        return cls(torch.from_numpy(inputs), torch.from_numpy(labels))

    def on(self, network: nn.Module) -> "IndicatorTask":
        """Return the same on the device of a network."""
        device = next(network.parameters()).device
        return IndicatorTask(self.inputs.to(device), self.labels.to(device))

    def learnt(
        self, workbench: Workbench, model: ModelArrays, *, epochs: int, learning_rate: float, pull: float
    ) -> ModelArrays:
        """Return a model that was trained on the samples, statistics of BatchNorm and all.

        Parameters
        ----------
        workbench, model
            The network, and what it starts from.
        epochs
            Passes over the samples, always in the same batches.
        learning_rate
            Of SGD, in the first ten of them.
        pull
            μ: the loss is cross-entropy plus μ/2 times the distance of the parameters from where they began.
        """
        network = workbench.network(model).train()
        with one_thread(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # for models that drop out at random
            self.on(network)._train(network, epochs, learning_rate, pull)
        return workbench.arrays(network)

    def _train(self, network: nn.Module, epochs: int, learning_rate: float, pull: float) -> None:
        parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        origin = [parameter.detach().clone() for parameter in parameters]
        settings = settings_of(epochs, BATCH_SIZE, learning_rate, weight_decay=WEIGHT_DECAY)
        optimizer = optimizer_of(parameters, settings)
        for epoch in range(epochs):
            optimizer.learning_rate = learning_rate * DECAY ** bisect_right(MILESTONES, epoch)
            for inputs, labels in self._batches():
                moved = [(now - before).flatten() for now, before in zip(parameters, origin, strict=True)]
                distance = torch.linalg.vector_norm(torch.cat(moved))
                loss = F.cross_entropy(network(inputs), labels) + pull / 2 * distance
                optimizer.step(torch.autograd.grad(loss, parameters, materialize_grads=True))

    def _batches(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Return the batches; a last one that is smaller is left out, unless it is the only one."""
        whole = max(len(self.labels) // BATCH_SIZE, 1)
        parts = (torch.split(tensor, BATCH_SIZE) for tensor in (self.inputs, self.labels))
        return list(zip(*parts, strict=True))[:whole]

    def best_class(self, workbench: Workbench, model: ModelArrays) -> float:
        """Return the accuracy on the samples of that class on which it is highest, in [0, 1]."""
        network = workbench.network(model)
        scores = workbench.scores(model, self.on(network).inputs)
        return highest_accuracy(scores.argmax(axis=1), self.labels.numpy())


def highest_accuracy(predicted: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    """Return the share of a label's samples that are predicted as it, of the label with the highest."""
    counts, right = np.bincount(labels), np.bincount(labels[predicted == labels], minlength=labels.max() + 1)
    return float(np.max(right[counts > 0] / counts[counts > 0]))
