"""Training on the server's own samples, which all removals that train share."""

import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import nn

from fl_backdoor.config.client import ClientConfig
from fl_backdoor.training.optimizers.choice import optimizer_of
from strategies.workbench import RootData

LossOf = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From inputs and labels of a batch to the mean loss on it."""

AT_ONCE = 256
"""Samples that are evaluated together."""


def settings_of(
    epochs: int,
    batch_size: int,
    learning_rate: float,
    *,
    weight_decay: float = 0.0,
    nesterov: bool = False,
) -> ClientConfig:
    """Return the settings of SGD with the momentum of 0.9 that all these papers train with."""
    return ClientConfig(
        learning_rate=learning_rate,
        momentum=0.9,
        weight_decay=weight_decay,
        batch_size=batch_size,
        local_epochs=epochs,
        nesterov=nesterov,
    )


def train(
    network: nn.Module,
    root: RootData,
    settings: ClientConfig,
    random: torch.Generator,
    *,
    factor: Callable[[int], float],
    loss_of: LossOf | None = None,
    after_step: Callable[[], None] = lambda: None,
) -> None:
    """Train a network in place, BatchNorm's statistics with it; leave it in evaluation mode.

    Parameters
    ----------
    network, root
        On one device.
    settings
        Optimiser, learning rate, batch size and number of epochs.
    random
        Shuffles the samples, on the CPU.
    factor
        From an epoch, counted from 0, to what the learning rate is multiplied by.
    loss_of
        What is minimised; None: cross-entropy.
    after_step
        Called after each step.
    """
    network.train()
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = optimizer_of(parameters, settings)
    loss_of = loss_of or cross_entropy(network)
    for epoch in range(settings.local_epochs):
        optimizer.learning_rate = settings.learning_rate * factor(epoch)
        for inputs, labels in batches(root, settings.batch_size, random):
            loss = loss_of(inputs, labels)
            optimizer.step(torch.autograd.grad(loss, parameters, materialize_grads=True))
            after_step()
    network.eval()


def half_a_cosine(epochs: int) -> Callable[[int], float]:
    """Return factors from 1 in the first of so many epochs towards 0, along half a cosine."""
    return lambda epoch: (1 + math.cos(math.pi * epoch / epochs)) / 2


def cross_entropy(network: nn.Module) -> LossOf:
    """Return the loss of a network."""
    return lambda inputs, labels: F.cross_entropy(network(inputs), labels)


def batches(
    root: RootData, batch_size: int, random: torch.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield inputs and labels, shuffled, once each; for BatchNorm's sake no sample is a batch alone."""
    order = torch.randperm(len(root.labels), generator=random)
    parts = list(torch.split(order, batch_size))
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    for rows in parts:
        chosen = rows.to(root.labels.device)
        yield root.inputs[chosen], root.labels[chosen]


@torch.no_grad()
def accuracy(network: nn.Module, root: RootData) -> float:
    """Return the share of samples that a network in evaluation mode is right about, in [0, 1]."""
    right = 0
    for inputs, labels in zip(
        torch.split(root.inputs, AT_ONCE), torch.split(root.labels, AT_ONCE), strict=True
    ):
        right += int((network(inputs).argmax(dim=1) == labels).sum())
    return right / len(root.labels)
