"""Local SGD and evaluation. Knows no attack: a batch may be changed by a function that is handed in."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from numpy.typing import NDArray
from torch import nn

from fl_backdoor.config import ClientConfig
from fl_backdoor.cuda_graph import Record, RecordedStep, Step, record_on_gpu
from fl_backdoor.heap import keep_freed_memory
from fl_backdoor.precision import Precision, logits_of
from fl_backdoor.sgd import SGD
from fl_backdoor.tensors import as_tensor

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

MOST_RECORDED = 4
"""Steps kept on a GPU: each holds the memory of a whole step, and a poison may be another one each round."""


@dataclass(frozen=True, eq=False)
class Images:
    """Labelled images on a device, normalised only when they are used, and which of them count.

    Parameters
    ----------
    pixels
        uint8 ``(n, channels, height, width)``.
    labels
        int64 ``(n,)``.
    mean, std
        Of each channel, float32 ``(channels, 1, 1)``, in units of [0, 1].
    rows
        The images that count, int64 ``(num_examples,)`` in main memory, each in 0 … n - 1.
    """

    pixels: torch.Tensor
    labels: torch.Tensor
    mean: torch.Tensor
    std: torch.Tensor
    rows: torch.Tensor

    def __len__(self) -> int:
        """Return how many images count."""
        return len(self.rows)

    def select(self, rows: NDArray[np.int64]) -> "Images":
        """Return the same images, of which those at `rows` count; nothing is copied."""
        return replace(self, rows=as_tensor(rows))

    def in_pixels(self, indices: torch.Tensor) -> torch.Tensor:
        """Return the images at `indices` as float32 pixels in [0, 1]."""
        return self.pixels[indices].contiguous(memory_format=torch.channels_last).float().div_(255)

    def batches(self, batch_size: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
        """Yield indices of images that count for ever, reshuffled whenever they run out."""
        while True:
            order = self.rows[torch.randperm(len(self), generator=generator)]
            yield from torch.split(order.to(self.pixels.device), batch_size)

    def batch(self, indices: torch.Tensor, poison: Poison) -> Batch:
        """Return normalised images and labels at `indices`, int64 in 0 … n - 1, changed by `poison`."""
        images = poison.in_pixels(self.in_pixels(indices))
        images = poison.in_normalized(images.sub(self.mean).div_(self.std))
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
        pixels=as_tensor(pixels).to(device),
        labels=as_tensor(labels).to(device),
        mean=torch.tensor(mean, device=device).view(-1, 1, 1),
        std=torch.tensor(std, device=device).view(-1, 1, 1),
        rows=torch.arange(len(labels)),
    )


class FromPixels(nn.Module):
    """A model that takes pixels in [0, 1].

    Parameters
    ----------
    model
        Takes normalised images.
    images
        Say how they are normalised.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, model: nn.Module, images: Images) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("mean", images.mean)
        self.register_buffer("std", images.std)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Map pixels to logits ``(n, num_classes)``."""
        logits: torch.Tensor = self.model((pixels - self.mean) / self.std)
        return logits


@dataclass(frozen=True)
class TrainResult:
    """Steps taken and their mean loss."""

    num_steps: int
    loss: float


class Trainer:
    """Trains one model in place, for one client after the other.

    On a GPU a step is recorded once for each poison and replayed for all clients that share their images and
    differ in the rows that count; nothing waits for the GPU before the last step of a client.

    Parameters
    ----------
    model
        Its parameters are moved where they are.
    settings
        Optimiser, batch size, epochs or steps.
    precision
        What the model computes in.
    record
        How steps are recorded. Null: as a CUDA graph on a GPU, not at all on the CPU.
    """

    def __init__(
        self,
        model: nn.Module,
        settings: ClientConfig,
        precision: Precision = "fp32",
        record: Record | None = None,
    ) -> None:
        keep_freed_memory()
        self.model = model
        self.settings = settings
        self.precision = precision
        self._optimizer = SGD([p for p in model.parameters() if p.requires_grad], settings)
        self._device = self._optimizer.parameters[0].device
        self._loss = torch.zeros((), device=self._device)
        self._record = record
        if self._device.type == "cuda":
            self._record = record or record_on_gpu
            # Neither sums in whatever order, nor kernels that each worker times and chooses by itself.
            torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
        self._recorded: dict[tuple[torch.Tensor, Poison], RecordedStep] = {}

    def train(self, images: Images, generator: torch.Generator, poison: Poison = CLEAN) -> TrainResult:
        """Train by SGD on cross-entropy.

        Parameters
        ----------
        images
            On the device of the model.
        generator
            Shuffles the samples; on the CPU, so that every device sees the same batches.
        poison
            Applied to each batch.
        """
        self.model.train()
        self._optimizer.reset()
        self._loss.zero_()
        num_steps = self.settings.num_steps(len(images))
        step = self._step_for(images, poison)
        for indices in islice(images.batches(self.settings.batch_size, generator), num_steps):
            step(indices)
        return TrainResult(num_steps, float(self._loss) / num_steps)

    def _step(self, images: Images, poison: Poison, indices: torch.Tensor) -> None:
        inputs, labels = images.batch(indices, poison)
        loss = F.cross_entropy(logits_of(self.model, inputs, self.precision), labels)
        gradients = torch.autograd.grad(
            loss, self._optimizer.parameters, allow_unused=True, materialize_grads=True
        )
        self._optimizer.step(gradients)
        self._loss.add_(loss.detach())

    def _step_for(self, images: Images, poison: Poison) -> Step:
        step = partial(self._step, images, poison)
        if self._record is None or self.settings.batch_size > len(images):
            return step
        key = (images.pixels, poison)
        if key not in self._recorded:
            if len(self._recorded) == MOST_RECORDED:
                del self._recorded[next(iter(self._recorded))]
            state = [*self.model.state_dict().values(), *self._optimizer.velocities, self._loss]
            self._recorded[key] = RecordedStep(step, self.settings.batch_size, state, self._record)
        return self._recorded[key]


@dataclass(frozen=True)
class Predictions:
    """Predicted classes, int64 ``(num_examples,)``, and the mean cross-entropy against the true labels."""

    classes: NDArray[np.int64]
    loss: float


@torch.inference_mode()
def predict(
    model: nn.Module,
    images: Images,
    batch_size: int,
    poison: Poison = CLEAN,
    precision: Precision = "fp32",
) -> Predictions:
    """Predict the class of every image that counts.

    `poison.labels` is not applied: the loss is that of true labels. Several threads may do this with one
    model at the same time.
    """
    keep_freed_memory()
    model.eval()
    device = images.pixels.device
    classes, total = [], torch.zeros((), dtype=torch.float64, device=device)
    for indices in torch.split(images.rows.to(device), batch_size):
        inputs, _ = images.batch(indices, poison)
        logits = logits_of(model, inputs, precision)
        classes.append(logits.argmax(dim=1))
        total += F.cross_entropy(logits, images.labels[indices], reduction="sum")
    return Predictions(torch.cat(classes).cpu().numpy(), float(total) / len(images))
