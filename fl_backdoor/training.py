"""Local SGD and evaluation. Knows no attack: a batch may be changed by a function that is handed in."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from numpy.typing import NDArray
from torch import nn

from fl_backdoor.config import ClientConfig

Batch = tuple[torch.Tensor, torch.Tensor]
"""Pixels float32 ``(n, channels, height, width)`` in [0, 1], and labels int64 ``(n,)``."""

ChangeImages = Callable[[torch.Tensor], torch.Tensor]
"""From pixels or normalised images to the same shape."""


def keep_images(images: torch.Tensor) -> torch.Tensor:
    """Return the images unchanged."""
    return images


@dataclass(frozen=True)
class Poison:
    """What is done to a training batch.

    Parameters
    ----------
    in_pixels
        Applied to float32 pixels in [0, 1], before normalisation.
    in_normalized
        Applied after normalisation.
    labels
        Applied to the labels, int64 ``(n,)``.
    """

    in_pixels: ChangeImages = keep_images
    in_normalized: ChangeImages = keep_images
    labels: ChangeImages = keep_images


CLEAN = Poison()


@dataclass(frozen=True)
class Images:
    """Labelled images on a device, normalised only when they are used.

    Parameters
    ----------
    pixels
        uint8 ``(n, channels, height, width)``.
    labels
        int64 ``(n,)``.
    mean, std
        Of each channel, float32 ``(channels, 1, 1)``, in units of [0, 1].
    """

    pixels: torch.Tensor
    labels: torch.Tensor
    mean: torch.Tensor
    std: torch.Tensor

    def batch(self, indices: torch.Tensor, poison: Poison) -> Batch:
        """Return normalised images and labels at `indices`, changed by `poison`."""
        pixels = poison.in_pixels(self.pixels[indices].float().div_(255))
        images = poison.in_normalized((pixels - self.mean) / self.std)
        labels = poison.labels(self.labels[indices])
        return images.contiguous(memory_format=torch.channels_last), labels


def on_device(
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int64],
    mean: tuple[float, ...],
    std: tuple[float, ...],
    device: torch.device,
) -> Images:
    """Put images on `device` as they are, uint8; on the CPU a memory-mapped array is not copied."""
    return Images(
        pixels=_tensor(pixels).to(device),
        labels=_tensor(labels).to(device),
        mean=torch.tensor(mean, device=device).view(-1, 1, 1),
        std=torch.tensor(std, device=device).view(-1, 1, 1),
    )


@dataclass(frozen=True)
class TrainResult:
    """Steps taken and their mean loss."""

    num_steps: int
    loss: float


def train(
    model: nn.Module,
    images: Images,
    settings: ClientConfig,
    generator: torch.Generator,
    poison: Poison = CLEAN,
) -> TrainResult:
    """Train `model` in place by SGD on cross-entropy.

    Parameters
    ----------
    model, images
        On the same device.
    settings
        Optimiser, batch size, epochs or steps.
    generator
        Shuffles the samples; on the CPU, so that every device sees the same batches.
    poison
        Applied to each batch.
    """
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
    )
    model.train()
    num_steps = settings.num_steps(len(images.labels))
    total = torch.zeros((), device=images.pixels.device)
    for indices, _ in zip(_batches(images, settings.batch_size, generator), range(num_steps), strict=False):
        inputs, labels = images.batch(indices, poison)
        loss = F.cross_entropy(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped
        optimizer.step()
        total += loss.detach()
    return TrainResult(num_steps, float(total) / num_steps)


@dataclass(frozen=True)
class Predictions:
    """Predicted classes, int64 ``(n,)``, and the mean cross-entropy against the true labels."""

    classes: NDArray[np.int64]
    loss: float


@torch.inference_mode()
def predict(model: nn.Module, images: Images, batch_size: int, poison: Poison = CLEAN) -> Predictions:
    """Predict the class of every image; `poison.labels` is not applied, the loss is that of true labels."""
    model.eval()
    device = images.pixels.device
    classes, total = [], torch.zeros((), dtype=torch.float64, device=device)
    for indices in torch.split(torch.arange(len(images.labels), device=device), batch_size):
        inputs, _ = images.batch(indices, poison)
        logits = model(inputs)
        classes.append(logits.argmax(dim=1))
        total += F.cross_entropy(logits, images.labels[indices], reduction="sum")
    return Predictions(torch.cat(classes).cpu().numpy(), float(total) / len(images.labels))


def _batches(images: Images, batch_size: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
    """Yield index batches for ever, reshuffled whenever the samples run out."""
    device = images.pixels.device
    while True:
        order = torch.randperm(len(images.labels), generator=generator)
        yield from torch.split(order.to(device), batch_size)


def _tensor(array: NDArray[np.generic]) -> torch.Tensor:
    # PyTorch warns of memory that it could write to; nothing here does.
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)
