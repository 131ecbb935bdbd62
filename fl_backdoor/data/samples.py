"""Samples on a device: what a data set holds in memory, and what a batch for a model is made of.

What kind of samples they are is known here, in `fl_backdoor.data`, and to models and triggers, nowhere else.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fl_backdoor.core.tensors import as_tensor

Batch = tuple[torch.Tensor, torch.Tensor]
"""Raw samples ``(n, ...)`` (see `Samples.raw`), and labels int64 ``(n,)``."""

Change = Callable[[torch.Tensor], torch.Tensor]
"""From samples, or from labels, to the same shape, as copies."""

Which = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From the true labels and the indices of a batch, int64 ``(n,)``, to some of its samples, bool ``(n,)``."""


def unchanged(values: torch.Tensor) -> torch.Tensor:
    """Return the values as they are."""
    return values


@dataclass(frozen=True)
class Poison:
    """What is done to a training batch.

    Parameters
    ----------
    in_raw
        Applied to raw samples: pixels in [0, 1], numbers of words.
    in_normalized
        Applied to what the model is given.
    labels
        Applied to the labels, int64 ``(n,)``.
    which
        The samples that it is done to; None: all.
    is_augmented
        Whether a batch is augmented after `in_raw`, not before it.
    """

    in_raw: Change = unchanged
    in_normalized: Change = unchanged
    labels: Change = unchanged
    which: Which | None = None
    is_augmented: bool = False

    def for_batch(self, labels: torch.Tensor, indices: torch.Tensor) -> "Poison":
        """Return what is done to the batch with these true labels and indices, as changes of all of it."""
        if self.which is None:
            return self
        chosen = self.which(labels, indices)
        raw, normalized = _where(chosen, self.in_raw), _where(chosen, self.in_normalized)
        return Poison(raw, normalized, _where(chosen, self.labels), is_augmented=self.is_augmented)


def _where(chosen: torch.Tensor, change: Change) -> Change:
    if change is unchanged:
        return change

    def changed(values: torch.Tensor) -> torch.Tensor:
        mask = chosen.view(-1, *[1] * (values.dim() - 1))
        return torch.where(mask, change(values), values)

    return changed


CLEAN = Poison()


@dataclass(frozen=True, eq=False)
class Samples(ABC):
    """Labelled samples on a device, made ready for a model only when they are used, and which of them count.

    Parameters
    ----------
    stored
        As the data set holds them, ``(n, ...)``.
    labels
        int64 ``(n,)``.
    rows
        The samples that count, int64 ``(num_examples,)`` in main memory, each in 0 … n - 1.
    """

    stored: torch.Tensor
    labels: torch.Tensor
    rows: torch.Tensor

    def __len__(self) -> int:
        """Return how many samples count."""
        return len(self.rows)

    def select(self, rows: NDArray[np.int64]) -> Self:
        """Return the same samples, of which those at `rows` count; nothing is copied."""
        return replace(self, rows=as_tensor(rows))

    def batches(
        self, batch_size: int, generator: torch.Generator, *, none_alone: bool = False
    ) -> Iterator[torch.Tensor]:
        """Yield indices of samples that count for ever, reshuffled whenever they run out.

        `none_alone`: see `batch_sizes`.
        """
        sizes = batch_sizes(len(self), batch_size, none_alone=none_alone)
        while True:
            order = self.rows[torch.randperm(len(self), generator=generator)]
            yield from torch.split(order.to(self.stored.device), sizes)

    def batch(self, indices: torch.Tensor, poison: Poison, augment: Change = unchanged) -> Batch:
        """Return what a model is given, and labels.

        Parameters
        ----------
        indices
            int64 in 0 … n - 1.
        poison
            What changes some of them.
        augment
            What changes all raw samples, first unless the poison says otherwise.
        """
        labels = self.labels[indices]
        poison = poison.for_batch(labels, indices)
        changes = (poison.in_raw, augment) if poison.is_augmented else (augment, poison.in_raw)
        raw = self.raw(indices)
        for change in changes:
            raw = change(raw)
        return self.laid_out(poison.in_normalized(self.normalized(raw))), poison.labels(labels)

    @abstractmethod
    def raw(self, indices: torch.Tensor) -> torch.Tensor:
        """Return copies of the samples at `indices` as triggers see them."""

    def normalized(self, raw: torch.Tensor) -> torch.Tensor:
        """Return raw samples in the units that a model is trained in: as they are."""
        return raw

    def laid_out(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return what a model is given in the memory format that it likes best: as it is."""
        return inputs

    def from_raw(self, model: nn.Module) -> nn.Module:
        """Return `model` as one that takes raw samples: itself."""
        return model

    @abstractmethod
    def as_stored(self, inputs: torch.Tensor) -> NDArray[np.generic]:
        """Return what a model was given as the data set would hold it, in main memory."""


@dataclass(frozen=True, eq=False)
class Images(Samples):
    """Images: stored as uint8 ``(n, channels, height, width)``, raw as float32 pixels in [0, 1].

    Parameters
    ----------
    mean, std
        Of each channel, float32 ``(channels, 1, 1)``, in units of [0, 1].
    """

    mean: torch.Tensor
    std: torch.Tensor

    def raw(self, indices: torch.Tensor) -> torch.Tensor:
        """Return the images at `indices` as float32 pixels in [0, 1]."""
        return self.stored[indices].contiguous(memory_format=torch.channels_last).float().div_(255)

    def normalized(self, raw: torch.Tensor) -> torch.Tensor:
        """Return pixels less their mean, in standard deviations."""
        return raw.sub(self.mean).div_(self.std)

    def laid_out(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return images with their channels last."""
        return inputs.contiguous(memory_format=torch.channels_last)

    def from_raw(self, model: nn.Module) -> nn.Module:
        """Return `model` as one that takes pixels in [0, 1]."""
        return FromPixels(model, self)

    def as_stored(self, inputs: torch.Tensor) -> NDArray[np.uint8]:
        """Return normalised images as uint8; values beyond [0, 1] are cut off."""
        pixels = inputs * self.std + self.mean
        stored: NDArray[np.uint8] = pixels.mul(255).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
        return stored


@dataclass(frozen=True, eq=False)
class Sentences(Samples):
    """Sentences: numbers of words, int32 ``(n, num_tokens)``, stored, raw and for a model alike."""

    def raw(self, indices: torch.Tensor) -> torch.Tensor:
        """Return the sentences at `indices`."""
        return self.stored[indices]

    def as_stored(self, inputs: torch.Tensor) -> NDArray[np.int32]:
        """Return the sentences."""
        stored: NDArray[np.int32] = inputs.cpu().numpy()
        return stored


def batch_sizes(num_examples: int, batch_size: int, *, none_alone: bool = False) -> list[int]:
    """Return the sizes of the batches of one pass over so many samples.

    `none_alone`: a last batch of a single sample is part of the one before, if batches are larger than that.
    """
    whole, rest = divmod(num_examples, batch_size)
    sizes = [batch_size] * whole
    if rest == 1 and sizes and none_alone:
        return [*sizes[:-1], batch_size + 1]
    return [*sizes, rest] if rest else sizes


def images_on_device(
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int64],
    mean: tuple[float, ...],
    std: tuple[float, ...],
    device: torch.device,
) -> Images:
    """Put images on `device` as they are, uint8; on the CPU a memory-mapped array is not copied."""
    return Images(
        *_placed(pixels, labels, device),
        mean=torch.tensor(mean, device=device).view(-1, 1, 1),
        std=torch.tensor(std, device=device).view(-1, 1, 1),
    )


def sentences_on_device(
    tokens: NDArray[np.int32], labels: NDArray[np.int64], device: torch.device
) -> Sentences:
    """Put sentences on `device`; on the CPU a memory-mapped array is not copied."""
    return Sentences(*_placed(tokens, labels, device))


def _placed(
    stored: NDArray[np.generic], labels: NDArray[np.int64], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return samples and labels on `device`, and the rows of all of them."""
    return as_tensor(stored).to(device), as_tensor(labels).to(device), torch.arange(len(labels))


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
