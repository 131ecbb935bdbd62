"""Local training and evaluation. Knows no attack: a batch may be changed by a function that is handed in.

A step that is not the settings' optimiser's on cross-entropy is `fl_backdoor.training.hooks.HookedTrainer`'s.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from numpy.typing import NDArray
from torch import nn

from fl_backdoor.config.schema import ClientConfig
from fl_backdoor.core.tensors import predicted_classes
from fl_backdoor.data.samples import CLEAN, Change, Poison, Samples, batch_sizes, unchanged
from fl_backdoor.training.allocator import keep_freed_memory
from fl_backdoor.training.augmentations.base import Augmentation, draws_for
from fl_backdoor.training.cuda_graph import Record, RecordedStep, Step, record_on_gpu
from fl_backdoor.training.gradient_clipping import clipped
from fl_backdoor.training.optimizers.choice import optimizer_of
from fl_backdoor.training.precision import Precision, logits_of
from fl_backdoor.training.proximal import Proximal

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)

MOST_RECORDED = 4
"""Steps kept on a GPU: each holds the memory of a whole step, and a poison may be another one each round."""


@dataclass(frozen=True)
class TrainResult:
    """Steps taken, and the mean of their losses on their batches, without FedProx's term."""

    num_steps: int
    loss: float


class Trainer:
    """Trains one model in place, for one client after the other.

    On a GPU a step is recorded once for each poison and replayed for all clients that share their samples and
    differ in the rows that count; nothing waits for the GPU before the last step of a client.

    BatchNorm has no variance of a single sample. In a model with it a last batch of one sample is part of the
    batch before, so that nobody's number of samples keeps them from training; other models are trained on
    batches as they come.

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
    augmentation
        What changes the samples of each batch at random; None: nothing.

    Attributes
    ----------
    rate_factor
        What the settings' learning rate is multiplied by, until it is set anew: `LearningRates` says it of a
        round.
    """

    def __init__(
        self,
        model: nn.Module,
        settings: ClientConfig,
        precision: Precision = "fp32",
        record: Record | None = None,
        *,
        augmentation: Augmentation | None = None,
    ) -> None:
        keep_freed_memory()
        self.model = model
        self.settings = settings
        self.precision = precision
        self.augmentation = augmentation
        self.rate_factor = 1.0
        self._optimizer = optimizer_of([p for p in model.parameters() if p.requires_grad], settings)
        mu = settings.proximal_mu
        self._proximal = Proximal(self.parameters, mu) if mu else None
        self._device = self.parameters[0].device
        self._loss = torch.zeros((), device=self._device)
        sent = model.state_dict()
        self._kept = {name: kept.clone() for name, kept in model.named_buffers() if name not in sent}
        self._record = record
        if self._device.type == "cuda":
            self._record = record or record_on_gpu
            # Neither sums in whatever order, nor kernels that each worker times and chooses by itself.
            torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
        self._recorded: dict[tuple[torch.Tensor, Poison, float], RecordedStep] = {}
        self._none_alone = any(isinstance(module, BATCH_NORMS) for module in model.modules())

    @property
    def parameters(self) -> list[torch.Tensor]:
        """What is trained, in the model's order, where it lies."""
        return self._optimizer.parameters

    @property
    def learning_rate(self) -> float:
        """The learning rate of this round's steps."""
        return self.settings.learning_rate * self.rate_factor

    def batch_sizes(self, num_examples: int) -> list[int]:
        """Return the sizes of the batches in which `num_examples` samples are trained on."""
        return batch_sizes(num_examples, self.settings.batch_size, none_alone=self._none_alone)

    def num_steps(self, num_examples: int) -> int:
        """Return how many steps a client with `num_examples` samples takes in a round (T)."""
        if self.settings.local_steps is not None:
            return self.settings.local_steps
        return self.settings.local_epochs * len(self.batch_sizes(num_examples))

    def train(self, samples: Samples, generator: torch.Generator, poison: Poison = CLEAN) -> TrainResult:
        """Train on cross-entropy.

        Parameters
        ----------
        samples
            On the device of the model.
        generator
            Shuffles the samples, and says how they are augmented; on the CPU, so that every device sees the
            same batches.
        poison
            Applied to each batch.
        """
        num_steps = sum(1 for _ in self.steps(samples, generator, poison))
        return TrainResult(num_steps, float(self._loss) / num_steps)

    def steps(self, samples: Samples, generator: torch.Generator, poison: Poison = CLEAN) -> Iterator[int]:
        """Train as `train` does; yield after each step how many there have been."""
        self.model.train()
        self._forget()
        num_steps = self.num_steps(len(samples))
        self._optimizer.learning_rate = self._rate(0, num_steps)
        step = self._step_for(samples, poison)
        batches = self._batches(samples, generator)
        for taken, batch in enumerate(islice(batches, num_steps), start=1):
            step(*batch)
            yield taken
            self._optimizer.learning_rate = self._rate(taken, num_steps)

    def _batches(self, samples: Samples, generator: torch.Generator) -> Iterator[tuple[torch.Tensor, ...]]:
        """Yield what steps take: indices of a batch, and where there is an augmentation its draws."""
        sizes = self.batch_sizes(len(samples))
        drawn = [draws_for(self.augmentation, sizes, generator, self._device)] if self.augmentation else []
        batches = samples.batches(self.settings.batch_size, generator, none_alone=self._none_alone)
        return zip(batches, *drawn, strict=False)  # without end

    def _step(self, samples: Samples, poison: Poison, indices: torch.Tensor, *draws: torch.Tensor) -> None:
        inputs, labels = samples.batch(indices, poison, self._augment(*draws))
        loss = self._minimised(inputs, labels)
        gradients: Sequence[torch.Tensor] = torch.autograd.grad(
            loss, self._optimizer.parameters, allow_unused=True, materialize_grads=True
        )
        if self._proximal is not None:
            gradients = self._proximal.added_to(gradients)
        gradients = self._bound(gradients)
        if self.settings.max_grad_norm is not None:
            gradients = clipped(gradients, self.settings.max_grad_norm)
        self._optimizer.step(gradients)
        self._loss.add_(loss.detach())

    def logits(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return what the model makes of `inputs`, float32 ``(n, num_classes)``."""
        return logits_of(self.model, inputs, self.precision)

    def _augment(self, *draws: torch.Tensor) -> Change:
        augmentation = self.augmentation
        return unchanged if augmentation is None else lambda raw: augmentation.augmented(raw, *draws)

    def _minimised(self, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(self.logits(inputs), labels, label_smoothing=self.settings.label_smoothing)

    def _rate(self, taken: int, num_steps: int) -> float:
        """Return the learning rate of the step after `taken` of `num_steps`."""
        return self.learning_rate

    def _bound(self, gradients: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        return gradients

    def _step_for(self, samples: Samples, poison: Poison) -> Step:
        step = partial(self._step, samples, poison)
        if self._record is None or self.settings.batch_size > len(samples):
            return step
        # A recorded step has its learning rate for ever.
        rate = self._optimizer.learning_rate
        key = (samples.stored, poison, rate)
        if key not in self._recorded:
            self._recorded = {known: kept for known, kept in self._recorded.items() if known[-1] == rate}
            if len(self._recorded) == MOST_RECORDED:
                del self._recorded[next(iter(self._recorded))]
            model = [*self.model.parameters(), *self.model.buffers()]
            state = [*model, *self._optimizer.state, self._loss]
            self._recorded[key] = RecordedStep(step, self._places(), state, self._record)
        return self._recorded[key]

    def _places(self) -> list[torch.Tensor]:
        """Return where what a full batch takes can lie."""
        size, device = self.settings.batch_size, self._device
        indices = torch.zeros(size, dtype=torch.int64, device=device)
        if self.augmentation is None:
            return [indices]
        return [indices, torch.zeros(size, self.augmentation.num_draws, device=device)]

    def _forget(self) -> None:
        """Begin as if no client had been trained: buffers that do not travel are as they were built."""
        self._optimizer.reset()
        if self._proximal is not None:
            self._proximal.begin()
        self._loss.zero_()
        for name, start in self._kept.items():
            buffer = self.model.get_buffer(name)
            if buffer.shape == start.shape:  # else a table that grows with what is looked up
                buffer.copy_(start)


@dataclass(frozen=True)
class Predictions:
    """Predicted classes, int64 ``(num_examples,)``, and the mean cross-entropy against the true labels.

    A class is `NO_CLASS` where a sample's logits are not all finite: ``argmax`` would call NaN class 0.
    """

    classes: NDArray[np.int64]
    loss: float


@torch.inference_mode()
def predict(
    model: nn.Module,
    samples: Samples,
    batch_size: int,
    poison: Poison = CLEAN,
    precision: Precision = "fp32",
) -> Predictions:
    """Predict the class of every sample that counts.

    `poison.labels` is not applied: the loss is that of true labels. Several threads may do this with one
    model at the same time.
    """
    keep_freed_memory()
    model.eval()
    device = samples.stored.device
    classes, total = [], torch.zeros((), dtype=torch.float64, device=device)
    for indices in torch.split(samples.rows.to(device), batch_size):
        inputs, _ = samples.batch(indices, poison)
        logits = logits_of(model, inputs, precision)
        classes.append(predicted_classes(logits))
        total += F.cross_entropy(logits, samples.labels[indices], reduction="sum")
    return Predictions(torch.cat(classes).cpu().numpy(), float(total) / len(samples))
