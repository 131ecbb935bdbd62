"""What every optimiser is: it moves parameters in place, and its state begins anew with each client."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch

from fl_backdoor.config.client import ClientConfig


class Optimizer(ABC):
    """Moves parameters along gradients.

    A step may be recorded as a CUDA graph: what it remembers lies in tensors that stay where they are.

    Parameters
    ----------
    parameters
        What is moved, in place.
    settings
        Of the client; the learning rate that it begins with is theirs.

    Attributes
    ----------
    learning_rate
        Of the next step. A recorded step keeps the one that it was recorded with.
    """

    def __init__(self, parameters: Sequence[torch.Tensor], settings: ClientConfig) -> None:
        self.parameters = list(parameters)
        self.settings = settings
        self.learning_rate = settings.learning_rate

    @property
    @abstractmethod
    def state(self) -> list[torch.Tensor]:
        """What is remembered from step to step; zeros at first."""

    @abstractmethod
    def step(self, gradients: Sequence[torch.Tensor]) -> None:
        """Move the parameters once; `gradients` in their order, left as they are."""

    def reset(self) -> None:
        """Forget all."""
        torch._foreach_zero_(self.state)
