"""Which optimiser the settings name."""

from collections.abc import Sequence

import torch

from fl_backdoor.config.client import ClientConfig
from fl_backdoor.training.optimizers.adam import Adam
from fl_backdoor.training.optimizers.base import Optimizer
from fl_backdoor.training.optimizers.sgd import SGD


def optimizer_of(parameters: Sequence[torch.Tensor], settings: ClientConfig) -> Optimizer:
    """Return the optimiser of ``settings.optimizer`` for `parameters`."""
    return SGD(parameters, settings) if settings.optimizer == "sgd" else Adam(parameters, settings)
