"""Training that differs from that of every client: what is minimised, and what binds the steps."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import nn

from fl_backdoor.config.schema import ClientConfig
from fl_backdoor.data.samples import CLEAN, Poison, Samples
from fl_backdoor.training.augmentations.base import Augmentation
from fl_backdoor.training.cuda_graph import Record
from fl_backdoor.training.precision import Precision
from fl_backdoor.training.trainer import Trainer

Logits = Callable[[torch.Tensor], torch.Tensor]
"""From what a model is given to float32 ``(n, num_classes)``."""


class Hooks:
    """Where a trainer lets somebody in; what is not overridden is as for every client.

    A step is recorded on a GPU, and `loss` and `gradients` with it: the same work for each batch, no decision
    that depends on a value, no transfer from or to main memory. What changes from round to round lies in
    tensors that stay where they are. `after_step` is not recorded.
    """

    is_recordable = True
    """Whether steps may be recorded; a learning rate that changes between them may not."""

    def loss(self, logits_of: Logits, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor | None:
        """Return what is minimised, a scalar, for what the model is given and labels int64 ``(n,)``.

        None: what every client minimises.
        """
        return None

    def gradients(self, gradients: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        """Return what the optimiser is given in place of the gradients of the trained parameters."""
        return gradients

    def learning_rate(self, taken: int, num_steps: int, usual: float) -> float:
        """Return the learning rate of the step after `taken` of `num_steps`."""
        return usual

    def after_step(self, taken: int, num_steps: int) -> None:
        """Change the trained parameters in place, after `taken` of `num_steps` steps."""


class HookedTrainer(Trainer):
    """A trainer that lets `hooks` into each step; the rest is as for `Trainer`."""

    def __init__(
        self,
        model: nn.Module,
        settings: ClientConfig,
        hooks: Hooks,
        precision: Precision = "fp32",
        record: Record | None = None,
        *,
        augmentation: Augmentation | None = None,
    ) -> None:
        super().__init__(model, settings, precision, record, augmentation=augmentation)
        self.hooks = hooks
        if not hooks.is_recordable:
            self._record = None

    def steps(self, samples: Samples, generator: torch.Generator, poison: Poison = CLEAN) -> Iterator[int]:
        """Train as `train` does; yield after each step how many there have been."""
        num_steps = self.num_steps(len(samples))
        for taken in super().steps(samples, generator, poison):
            self.hooks.after_step(taken, num_steps)
            yield taken

    def _rate(self, taken: int, num_steps: int) -> float:
        return self.hooks.learning_rate(taken, num_steps, self.learning_rate)

    def _minimised(self, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        own = self.hooks.loss(self.logits, inputs, labels)
        return super()._minimised(inputs, labels) if own is None else own

    def _bound(self, gradients: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        return self.hooks.gradients(gradients)
