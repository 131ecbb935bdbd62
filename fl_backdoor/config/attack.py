"""What malicious clients do, and when: the group ``attack`` of the configuration."""

from dataclasses import asdict, field, replace
from typing import Annotated, Any, Literal

from pydantic.dataclasses import dataclass

from fl_backdoor.config.client import ClientConfig, OptimizerName, defaults_of_optimizers
from fl_backdoor.config.marks import AddedLater, Mark, NamedBy, WithoutAttack
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.shares import share_of
from fl_backdoor.core.types import (
    STRICT,
    Count,
    NonNegative,
    OpenShare,
    Positive,
    PositiveCount,
    Ratio,
    Share,
)

Plugin = dict[str, Any]
"""A ``_target_`` and its settings; empty where there may be none."""


def all_to_one() -> Plugin:
    """Return the poisoning of the article, which is what older runs were made with."""
    return {"_target_": "fl_backdoor.attacks.poisoning.all_to_one.AllToOne", "once": False}


def malicious_client() -> Plugin:
    """Return the malicious client that runs the parts of any attack."""
    return {"_target_": "clients.MaliciousClient"}


@dataclass(frozen=True, config=STRICT)
class TrainingConfig:
    """How a client trains in the rounds in which it attacks.

    Parameters
    ----------
    learning_rate, momentum, weight_decay, local_epochs, local_steps, optimizer
        As in `ClientConfig`; null: as a benign client. With epochs of its own it counts no benign client's
        steps; with another optimiser nothing of a benign client's but its learning rate and weight decay is
        left.
    decay_at
        Shares of its local steps after each of which the learning rate is multiplied by `decay`.
    decay
        That factor.
    decay_every
        Of its own `local_epochs`: the learning rate is multiplied by `decay` after each so many (StepLR), in
        place of `decay_at`.
    follows_schedule
        Whether a learning rate of its own follows ``lr_schedule`` over the rounds, as a benign client's does.
    objective
        What it minimises: a plug-in of ``fl_backdoor.attacks.training``, in the place of all that a benign
        client does; empty: the same as a benign client.
    constraint
        What binds its steps: such a plug-in; empty: nothing.
    """

    learning_rate: Positive | None = None
    momentum: Share | None = None
    weight_decay: NonNegative | None = None
    local_epochs: PositiveCount | None = None
    local_steps: PositiveCount | None = None
    decay_at: list[OpenShare] = field(default_factory=list)
    decay: Ratio = 0.1
    decay_every: Annotated[PositiveCount | None, AddedLater(None)] = None
    follows_schedule: Annotated[bool, AddedLater(False)] = False
    optimizer: Annotated[OptimizerName | None, AddedLater(None)] = None
    objective: Plugin = field(default_factory=dict)
    constraint: Plugin = field(default_factory=dict)

    def beside(self, benign: ClientConfig) -> ClientConfig:
        """Return the settings of local training: a benign client's, where there is none of its own."""
        names = ("learning_rate", "momentum", "weight_decay", "optimizer")
        own = {name: value for name in names if (value := getattr(self, name)) is not None}
        if self.optimizer not in {None, benign.optimizer}:
            own = defaults_of_optimizers() | own
        if self.local_epochs is not None:
            own |= {"local_epochs": self.local_epochs, "local_steps": None}
        if self.local_steps is not None:
            own |= {"local_steps": self.local_steps}
        if self.objective:
            own |= {"label_smoothing": 0.0, "proximal_mu": 0.0}
        return replace(benign, **own)


AS_BENIGN = asdict(TrainingConfig())
"""Of older runs."""


@dataclass(frozen=True, config=STRICT)
class AttackConfig:
    """What malicious clients do, and when.

    Parameters
    ----------
    num_malicious
        How many of the clients are malicious; which ones follows from the seed.
    alpha
        Poison ratio: the share of a full batch that a malicious client poisons, rounded down; of each batch,
        the last and smaller one of an epoch as well.
    target_label
        The class that poisoned samples are relabelled to.
    boost_factor
        The malicious update is multiplied by this, before other manipulations unless `updates` names
        ``scaling``.
    first_round, last_round
        Rounds in which malicious clients attack, both included, counted from 1; null: to the end.
    trigger
        What poisoned samples get: a plug-in of ``fl_backdoor.attacks.triggers``.
    trigger_space
        ``pixel``: stamped in [0, 1] before normalisation. ``normalized``: the trigger's values are written
        into the normalised tensor, as the article's own code does.
    augment_trigger
        Whether poisoned samples are augmented with their trigger, which may be moved, mirrored or cut off
        then; false: the trigger is stamped on augmented samples.
    holds_target
        Whether the malicious clients are drawn from those with training samples of the target class, or from
        those without; null: from all. What they do is the same.
    participation
        How malicious clients get into the rounds in which they attack, if not all clients take part:
        ``sampled`` like everybody else; ``fixed``: they are put among the participants of these rounds, as in
        the code of model replacement and DBA. Z. Sun et al., Can You Really Backdoor Federated Learning?,
        2019, https://arxiv.org/abs/1911.07963, call them random sampling and fixed-frequency attacks.
    every
        A malicious client attacks in one of so many rounds; they take turns, in the order of their ids.
    poisoning
        Which samples change and how, and what ASR is measured with: a plug-in of
        ``fl_backdoor.attacks.poisoning``.
    training
        How it trains, where not like a benign client.
    updates
        Names of what is done to the update before it is sent, in order.
    update
        For each of these names a plug-in of ``fl_backdoor.attacks.updates``. One that is not named does not
        count.
    client
        The malicious client itself: a subclass of ``clients.MaliciousClient``, or what takes its place.
    """

    num_malicious: Annotated[Count, WithoutAttack(0)]
    alpha: Annotated[Share, WithoutAttack(0.0)]
    target_label: Count
    boost_factor: Annotated[Positive, WithoutAttack(1.0)]
    first_round: Annotated[PositiveCount, Mark.ONLY_UNDER_ATTACK]
    last_round: Annotated[PositiveCount | None, Mark.ONLY_UNDER_ATTACK]
    trigger: Plugin
    trigger_space: Literal["pixel", "normalized"]
    augment_trigger: Annotated[bool, AddedLater(False), WithoutAttack(False)] = False
    holds_target: Annotated[bool | None, AddedLater(None), WithoutAttack(None)] = None
    participation: Annotated[Literal["sampled", "fixed"], AddedLater("sampled"), WithoutAttack("sampled")] = (
        "sampled"
    )
    every: Annotated[PositiveCount, WithoutAttack(1)] = 1
    poisoning: Annotated[Plugin, AddedLater(all_to_one())] = field(default_factory=all_to_one)
    training: Annotated[TrainingConfig, AddedLater(AS_BENIGN), WithoutAttack(TrainingConfig())] = field(
        default_factory=TrainingConfig
    )
    updates: Annotated[list[str], AddedLater([]), WithoutAttack([])] = field(default_factory=list)
    update: Annotated[dict[str, Plugin], NamedBy("updates"), AddedLater({}), WithoutAttack({})] = field(
        default_factory=dict
    )
    client: Annotated[Plugin, AddedLater(malicious_client()), WithoutAttack(malicious_client())] = field(
        default_factory=malicious_client
    )

    def num_poisoned(self, batch_size: int) -> int:
        """Return how many samples of each batch are poisoned, where a full one holds `batch_size`.

        A client with fewer samples than that has smaller batches: theirs is the size that counts.
        """
        return share_of(batch_size, self.alpha)

    def does_harm(self, batch_size: int) -> bool:
        """Return whether a client that attacks does anything else than a benign one.

        A small α poisons nothing, 0.02 none of 32.
        """
        return self.num_poisoned(batch_size) > 0 or self.goes_beyond_data

    @property
    def goes_beyond_data(self) -> bool:
        """Whether a client that attacks trains or sends otherwise than a benign one with the same samples."""
        return self.boost_factor != 1 or bool(self.updates) or self.training != TrainingConfig()

    @property
    def most_at_once(self) -> int:
        """How many malicious clients attack in the same round, at most; in the first one they are as many."""
        return -(-self.num_malicious // self.every)


def check_decay(training: TrainingConfig) -> None:
    """Refuse a learning rate that falls by epochs without epochs to count; raises ConfigError."""
    every = training.decay_every
    if every is None:
        return
    if training.local_epochs is None or training.local_steps is not None:
        allowed = "counts epochs: set attack.training.local_epochs, and no local_steps"
        raise ConfigError("attack.training.decay_every", every, allowed)
    if training.decay_at:
        allowed = "takes the place of attack.training.decay_at, which must be [] then"
        raise ConfigError("attack.training.decay_every", every, allowed)
