"""Local training with settings of its own, an objective and a constraint, put together."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from fl_backdoor.attacks.training.base import Constraint, Objective, Start
from fl_backdoor.config.attack import TrainingConfig
from fl_backdoor.config.schema import ClientConfig
from fl_backdoor.training.hooks import Hooks, Logits


class OwnTraining(Hooks):
    """How malicious clients train.

    Parameters
    ----------
    settings
        Where its settings are null, a benign client's count.
    objective
        None: cross-entropy.
    constraint
        None: none.
    """

    def __init__(
        self, settings: TrainingConfig, objective: Objective | None, constraint: Constraint | None
    ) -> None:
        self.settings = settings
        self.objective = objective
        self.constraint = constraint
        self.is_recordable = not settings.decay_at

    @property
    def needs_previous_model(self) -> bool:
        """Whether a part asks for the last movement of the global model."""
        return any(part.needs_previous_model for part in (self.objective, self.constraint) if part)

    def client_settings(self, benign: ClientConfig) -> ClientConfig:
        """Return the settings of local training, those of a benign client where there is none of its own."""
        own = {name: getattr(self.settings, name) for name in ("learning_rate", "momentum", "weight_decay")}
        changed = {name: value for name, value in own.items() if value is not None}
        settings, local_steps = self.settings, self.settings.local_steps
        if settings.local_epochs is not None:
            changed |= {"local_epochs": settings.local_epochs, "local_steps": None}
        if local_steps is not None:
            changed |= {"local_steps": local_steps}
        return replace(benign, **changed)

    def begin(self, start: Start) -> None:
        """Get ready for a local training."""
        if self.objective is not None:
            self.objective.begin(start)
        if self.constraint is not None:
            self.constraint.begin(start)

    def loss(self, logits_of: Logits, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the objective's loss."""
        if self.objective is None:
            return super().loss(logits_of, inputs, labels)
        return self.objective.loss(logits_of, inputs, labels)

    def gradients(self, gradients: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        """Return what the constraint leaves of the gradients."""
        return gradients if self.constraint is None else self.constraint.gradients(gradients)

    def learning_rate(self, taken: int, num_steps: int, usual: float) -> float:
        """Return the usual rate, multiplied by `decay` for each share of the steps that has been taken."""
        passed = sum(taken >= share * num_steps for share in self.settings.decay_at)
        return usual * self.settings.decay**passed

    def after_step(self, taken: int, num_steps: int) -> None:
        """Let the constraint move the parameters."""
        if self.constraint is not None:
            self.constraint.after_step(taken, num_steps)
