"""Local training with settings of its own, an objective and a constraint, put together."""

from collections.abc import Sequence

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
        None: what benign clients minimise.
    constraint
        None: none.
    """

    def __init__(
        self, settings: TrainingConfig, objective: Objective | None, constraint: Constraint | None
    ) -> None:
        self.settings = settings
        self.objective = objective
        self.constraint = constraint
        self.is_recordable = not settings.decay_at and settings.decay_every is None

    @property
    def needs_previous_model(self) -> bool:
        """Whether a part asks for the last movement of the global model."""
        return any(part.needs_previous_model for part in (self.objective, self.constraint) if part)

    def client_settings(self, benign: ClientConfig) -> ClientConfig:
        """Return the settings of local training, those of a benign client where there is none of its own."""
        return self.settings.beside(benign)

    def rate_factor(self, of_benign: float) -> float:
        """Return what its learning rate is multiplied by in a round in which benign clients' is by this."""
        is_own = self.settings.learning_rate is not None
        return 1.0 if is_own and not self.settings.follows_schedule else of_benign

    def begin(self, start: Start) -> None:
        """Get ready for a local training."""
        if self.objective is not None:
            self.objective.begin(start)
        if self.constraint is not None:
            self.constraint.begin(start)

    def loss(self, logits_of: Logits, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor | None:
        """Return the objective's loss."""
        return None if self.objective is None else self.objective.loss(logits_of, inputs, labels)

    def gradients(self, gradients: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        """Return what the constraint leaves of the gradients."""
        return gradients if self.constraint is None else self.constraint.gradients(gradients)

    def learning_rate(self, taken: int, num_steps: int, usual: float) -> float:
        """Return the usual rate, multiplied by `decay` as often as it was time for it."""
        settings = self.settings
        passed = sum(taken >= share * num_steps for share in settings.decay_at)
        if settings.decay_every is not None and settings.local_epochs is not None:
            passed = taken * settings.local_epochs // (num_steps * settings.decay_every)
        return usual * settings.decay**passed

    def after_step(self, taken: int, num_steps: int) -> None:
        """Let the constraint move the parameters."""
        if self.constraint is not None:
            self.constraint.after_step(taken, num_steps)
