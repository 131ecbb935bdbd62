"""How clients train: the group ``client`` of the configuration, and what changes from round to round."""

from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic.dataclasses import dataclass

from fl_backdoor.config.marks import AddedLater
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.types import STRICT, Decay, NonNegative, Positive, PositiveCount, Share

OptimizerName = Literal["sgd", "adam", "adamw"]

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8
"""PyTorch's defaults."""

SETTINGS_OF_SGD, SETTINGS_OF_ADAM = ("momentum", "nesterov"), ("beta1", "beta2", "eps")
"""Those that the other one does not have."""


def defaults_of_optimizers() -> dict[str, Any]:
    """Return PyTorch's values of all settings that not every optimiser has."""
    return {"momentum": 0.0, "nesterov": False, "beta1": BETA1, "beta2": BETA2, "eps": EPS}


def constant_rate() -> dict[str, Any]:
    """Return the schedule that leaves learning rates as they are, which is what older runs were made with."""
    return {
        "_target_": "fl_backdoor.training.lr_schedules.constant.Constant",
        "warmup_rounds": 0,
        "warmup_start": None,
    }


@dataclass(frozen=True, config=STRICT)
class ClientConfig:
    """Local training.

    Parameters
    ----------
    learning_rate, weight_decay
        As in ``torch.optim``; ``lr_schedule`` says what becomes of the learning rate over the rounds.
    momentum
        As in ``torch.optim.SGD``; Adam and AdamW have none.
    batch_size
        Samples a step; the last batch of an epoch may be smaller, and under BatchNorm larger by one.
    local_epochs
        Passes over the client's samples a round, if `local_steps` is null.
    local_steps
        Steps a round; the samples are shuffled anew whenever they run out. Null: count epochs.
    options
        What `_target_` takes beside a ``clients.LocalTask``.
    optimizer
        ``sgd``, ``adam`` or ``adamw``. Its state begins anew in each round.
    nesterov
        As in ``torch.optim.SGD``.
    beta1, beta2, eps
        As in ``torch.optim.Adam`` and ``AdamW``.
    max_grad_norm
        The most that the gradient of a step may be long, all parameters together, in L2; null: any length.
    label_smoothing
        As in ``torch.nn.CrossEntropyLoss``.
    proximal_mu
        FedProx's μ: μ/2·‖w - w_global‖² is minimised as well.

    Attributes
    ----------
    _target_
        The benign client: ``clients.BenignClient``, or a class of one's own, such as a subclass of it. The
        malicious one is ``attack.client``.
    """

    learning_rate: Positive
    momentum: Share
    weight_decay: NonNegative
    batch_size: PositiveCount
    local_epochs: PositiveCount
    local_steps: PositiveCount | None = None
    options: Annotated[dict[str, Any], AddedLater({})] = field(default_factory=dict)
    _target_: Annotated[str, AddedLater("clients.BenignClient")] = "clients.BenignClient"
    optimizer: Annotated[OptimizerName, AddedLater("sgd")] = "sgd"
    nesterov: Annotated[bool, AddedLater(False)] = False
    beta1: Annotated[Decay, AddedLater(BETA1)] = BETA1
    beta2: Annotated[Decay, AddedLater(BETA2)] = BETA2
    eps: Annotated[Positive, AddedLater(EPS)] = EPS
    max_grad_norm: Annotated[Positive | None, AddedLater(None)] = None
    label_smoothing: Annotated[Share, AddedLater(0.0)] = 0.0
    proximal_mu: Annotated[NonNegative, AddedLater(0.0)] = 0.0

    @property
    def shows_gradients(self) -> bool:
        """Whether a client's update is its learning rate times gradients, summed up, as under SGD."""
        return self.optimizer == "sgd"

    def num_steps(self, num_examples: int) -> int:
        """Return how many steps a client with `num_examples` samples takes in a round (T), at most.

        Under BatchNorm a pass is one step shorter where a single sample is left over, see `Trainer`.
        """
        if self.local_steps is not None:
            return self.local_steps
        return self.local_epochs * -(-num_examples // self.batch_size)

    def full_batch(self, num_examples: int) -> int:
        """Return how many of a client's `num_examples` samples there are in its largest batch."""
        return min(self.batch_size, num_examples)

    def coverage(self, num_examples: int) -> float:
        """Return which share of its `num_examples` samples, at least one, a client sees in a round."""
        return min(1.0, self.num_steps(num_examples) * self.batch_size / num_examples)


def check_optimizer(client: ClientConfig, group: str) -> None:
    """Refuse settings that the optimiser does not have; raises ConfigError under the dotted key `group`."""
    name, own = client.optimizer, SETTINGS_OF_SGD if client.optimizer == "sgd" else SETTINGS_OF_ADAM
    for key, usual in defaults_of_optimizers().items():
        if key not in own and getattr(client, key) != usual:
            allowed = f"{name} has none: leave it at {usual}, or take another optimizer"
            raise ConfigError(f"{group}.{key}", getattr(client, key), allowed)
    if client.nesterov and not client.momentum:
        raise ConfigError(f"{group}.nesterov", True, "needs a momentum over 0")
