"""What every objective and every constraint of malicious training is.

Both are told before each local training what it starts from. On a GPU `loss` and `gradients` are recorded,
see `fl_backdoor.training.hooks.Hooks`: what they need of a round lies in tensors that `begin` fills in place.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from fl_backdoor.attacks.knowledge import Knowledge
from fl_backdoor.training.hooks import Logits


@dataclass(frozen=True)
class Start:
    """What local training starts from.

    Parameters
    ----------
    model
        Holds the global model.
    parameters
        What is trained of it, in its order, where it lies.
    last_movement
        How the global model has moved since one of the attackers was last sent one, in the shapes of
        `parameters`; None: unknown, see `Knowledge.last_movement`.
    knowledge
        What else the client knows.
    """

    model: nn.Module
    parameters: Sequence[torch.Tensor]
    last_movement: Sequence[torch.Tensor] | None
    knowledge: Knowledge


class Objective(ABC):
    """What a malicious client minimises in place of the cross-entropy of its samples."""

    needs_previous_model: ClassVar[bool] = False
    """Whether it asks for `Start.last_movement`: the model before travels with the messages then."""

    def begin(self, start: Start) -> None:  # noqa: B027 - one that needs nothing has nothing to do
        """Get ready for a local training."""

    @abstractmethod
    def loss(self, logits_of: Logits, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return a scalar, for what the model is given, poisoned, and labels int64 ``(n,)``."""


class Constraint:
    """What a malicious client's steps are bound to: their gradients, or where they lead to."""

    needs_previous_model: ClassVar[bool] = False
    """Whether it asks for `Start.last_movement`: the model before travels with the messages then."""

    def begin(self, start: Start) -> None:
        """Get ready for a local training."""

    def gradients(self, gradients: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        """Return what the optimiser is given in place of the gradients, before momentum and weight decay."""
        return gradients

    def after_step(self, taken: int, num_steps: int) -> None:
        """Change the trained parameters in place, after `taken` of `num_steps` steps."""
