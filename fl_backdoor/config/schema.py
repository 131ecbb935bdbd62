"""What a run is: the typed, checked form of the resolved Hydra configuration.

Whether a setting counts for a run's metrics stands in its type, see `fl_backdoor.config.marks`.

Nothing here imports Hydra, PyTorch, Ray or Flower, so that a wrong setting is reported at once, and so
that the same check runs wherever a configuration arrives as JSON.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from fl_backdoor.config.attack import AttackConfig, TrainingConfig, check_decay
from fl_backdoor.config.augmentation import AugmentationConfig
from fl_backdoor.config.client import ClientConfig, check_optimizer, constant_rate
from fl_backdoor.config.dataset import DatasetSettings
from fl_backdoor.config.engine import DeploymentConfig, Device, EngineConfig, SimulationConfig
from fl_backdoor.config.marks import AddedLater, CountsWith, Mark, PlugIn
from fl_backdoor.config.named import with_named
from fl_backdoor.config.selection import SelectionSettings, uniform
from fl_backdoor.config.start import KINDS, FreshStart, StartConfig, check_rounds
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.plugins import config_error
from fl_backdoor.core.types import STRICT, Count, Positive, PositiveCount, Share


@dataclass(frozen=True, config=STRICT)
class PartitionConfig:
    """How the training set is split over clients.

    Parameters
    ----------
    num_clients
        Number of clients, and of partitions.
    partitioner
        A partitioner of flwr-datasets and its settings; ``num_partitions`` is passed by the program.
    column
        A column of natural ids that the partitioner sees beside the labels; null: none.
    """

    num_clients: PositiveCount
    partitioner: dict[str, Any]
    column: Annotated[str | None, AddedLater(None)] = None


@dataclass(frozen=True, config=STRICT)
class ServerConfig:
    """What the server does under every strategy.

    Parameters
    ----------
    learning_rate
        λ: the aggregated update is multiplied by this before it moves the global model.
    weighting
        ``equal``, or by the clients' reported number of examples (which an attacker can lie about).
    buffers
        ``average``: distances and norms see trained parameters alone; BatchNorm's buffers are merged beside
        them, as each strategy says: under FedAvg by the mean, under a defence by a median or what else
        bounds those who lie. ``as_parameters``: buffers count as parameters, as in the article's listing: a
        rule sees them, an attacker multiplies them as well, and a variance may become negative.
    min_replies
        With fewer usable replies than this the round keeps the model.
    round_timeout_seconds
        Clients that have not answered by then lose their place in the round.
    eval_batch_size
        Samples a forward pass on the test set.
    max_lost_rounds
        After so many rounds on end in which no node has said anything the run stops, and can go on later;
        before that, such a round keeps the model. Null: 1 in a simulation, whose workers are always there; 3
        on a deployment, whose nodes come back.
    root_samples
        Labelled samples that the server has of its own, for rules that ask for some: so many of the training
        set, drawn before the rest is dealt out to the clients.
    root_bias
        The share of them that is of one class, `root_class`, the others being of the other classes at random
        (FLTrust's bias probability); null: all are drawn at random.
    root_class
        The class that a biased set has most of.
    """

    learning_rate: Positive
    weighting: Literal["equal", "num_examples"]
    buffers: Literal["average", "as_parameters"]
    min_replies: PositiveCount
    round_timeout_seconds: Positive
    eval_batch_size: PositiveCount
    root_samples: Annotated[Count, CountsWith("root_samples")] = 0
    root_bias: Annotated[Share | None, CountsWith("root_samples")] = None
    root_class: Annotated[Count, CountsWith("root_samples")] = 0
    max_lost_rounds: Annotated[PositiveCount | None, Mark.BESIDE_THE_METRICS] = None


@dataclass(frozen=True, config=STRICT)
class ExperimentConfig:
    """One run. Where a group is a plug-in it holds a ``_target_`` and its settings.

    Parameters
    ----------
    seed
        Every random number of the run follows from it.
    num_rounds
        The number of the last round.
    clients_per_round
        Participants a round, by client id; null: all.
    clean_baseline
        ``known``: backdoor figures of a clean model are filled in where a run without attackers and
        otherwise the same settings is on disk. ``run``: such a run is made first where there is none.
    precision
        What models compute in, in training and evaluation: ``fp32``; ``bf16``, under autocast, parameters
        stay float32; ``auto``: bf16 where the processor or GPU computes it natively.
    outputs
        Folder of all run folders and of the clean models' figures.
    tracking
        A tracker that follows the run beside its files; empty: none. No figure depends on it.
    selection
        Who takes part in a round, where not all do: a plug-in of ``fl_backdoor.federation.selection``.
    start
        What the global model is before the first round.
    augmentation
        What is done to training samples at random.
    keep_best
        Whether the most accurate model so far, on test samples, is kept beside the last one.
    server_optimizer
        What works on the model after the strategy, whichever it is: a step of a chain; empty: nothing.
    lr_schedule
        How learning rates change over the rounds: a plug-in of ``fl_backdoor.training.lr_schedules``.
    """

    seed: Count
    num_rounds: PositiveCount
    clients_per_round: PositiveCount | None
    clean_baseline: Annotated[Literal["known", "run"], Mark.BESIDE_THE_METRICS]
    precision: Literal["auto", "fp32", "bf16"]
    outputs: Annotated[str, Mark.BESIDE_THE_METRICS]
    dataset: Annotated[dict[str, Any], PlugIn(DatasetSettings)]
    partition: PartitionConfig
    model: dict[str, Any]
    client: ClientConfig
    attack: AttackConfig
    strategy: Annotated[dict[str, Any], Mark.SERVER_ONLY]
    server: ServerConfig
    engine: Annotated[EngineConfig, Mark.BESIDE_THE_METRICS]
    tracking: Annotated[dict[str, Any], Mark.BESIDE_THE_METRICS, Mark.SERVER_ONLY] = field(
        default_factory=dict
    )
    selection: Annotated[
        dict[str, Any], Mark.SERVER_ONLY, PlugIn(SelectionSettings), AddedLater(uniform())
    ] = field(default_factory=uniform)
    start: Annotated[StartConfig, AddedLater({"name": "fresh"})] = field(default_factory=FreshStart)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    keep_best: Annotated[bool, Mark.BESIDE_THE_METRICS, AddedLater(False)] = False
    server_optimizer: Annotated[dict[str, Any], Mark.SERVER_ONLY, AddedLater({})] = field(
        default_factory=dict
    )
    lr_schedule: Annotated[dict[str, Any], AddedLater(constant_rate())] = field(default_factory=constant_rate)

    @property
    def rounds(self) -> range:
        """The numbers of the rounds that are trained."""
        return range(self.start.rounds_before + 1, self.num_rounds + 1)

    @property
    def participants_per_round(self) -> int:
        """Clients asked in each round."""
        return self.clients_per_round or self.partition.num_clients

    @property
    def max_lost_rounds(self) -> int:
        """Rounds on end in which nobody answers after which the run stops."""
        usual = 3 if isinstance(self.engine, DeploymentConfig) else 1
        return self.server.max_lost_rounds or usual

    @property
    def attacks(self) -> bool:
        """Whether the run differs from one without attackers."""
        return self.attack.num_malicious > 0 and self.attack.does_harm(self.client.batch_size)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that `parse` takes back."""
        return dataclasses.asdict(self)

    def to_json(self) -> str:
        """Return the whole configuration as one line of JSON, keys sorted."""
        return json.dumps(self.to_dict(), sort_keys=True)


@dataclass(frozen=True, config=STRICT)
class CallConfig:
    """What a command line says of how its runs are made; no figure depends on it.

    Parameters
    ----------
    resume
        The folder of a run, or of a multirun: runs in it go on where they were cut off. Null: a new folder.
    jobs
        How many runs of a multirun go on at a time; cores and GPUs are shared out between them.
    objective
        The figure after the last round that a sweeper such as Optuna is to make as large as possible.
    detection_bound
        For such a sweeper, the largest share of the attackers' updates (client-rounds) that may be flagged;
        null: any.
    """

    resume: str | None
    jobs: PositiveCount
    objective: Literal["attack_success_rate", "success_rate", "main_task_accuracy"]
    detection_bound: Share | None


def parse_whole(plain: Mapping[str, Any], *, multirun: bool = False) -> tuple[ExperimentConfig, CallConfig]:
    """Check all that Hydra composes; raises like `parse`.

    ``clean_baseline=auto`` becomes ``run`` in a multirun, whose runs share clean models, else ``known``.
    """
    of_the_call = [field.name for field in dataclasses.fields(CallConfig)]
    experiment = {key: value for key, value in plain.items() if key not in of_the_call}
    of_call = {key: value for key, value in plain.items() if key in of_the_call}
    if experiment.get("clean_baseline") == "auto":
        experiment["clean_baseline"] = "run" if multirun else "known"
    try:
        call = TypeAdapter(CallConfig).validate_python(of_call)
    except ValidationError as error:
        raise config_error(error, "") from error
    config = parse(experiment)
    if call.jobs > 1 and isinstance(config.engine, DeploymentConfig):
        raise ConfigError("jobs", call.jobs, "must be 1 on a deployment: a node trains for one run at a time")
    return config, call


def parse(plain: Mapping[str, Any]) -> ExperimentConfig:
    """Check plain values, as from YAML or JSON, and return them typed.

    Raises
    ------
    ConfigError
        At the first unknown key, wrong type, value out of range or impossible combination.
    """
    plain = with_named(plain, "attack", "updates", "update")
    plain = with_named(plain, "augmentation", "steps", "step")
    try:
        config = TypeAdapter(ExperimentConfig).validate_python(dict(plain))
    except ValidationError as error:
        raise config_error(error, "", kinds=("simulation", "deployment", *KINDS)) from error
    _check_combinations(config)
    return config


def parse_json(text: str) -> ExperimentConfig:
    """Check what `ExperimentConfig.to_json` wrote; raises like `parse`."""
    return parse(json.loads(text))


def _check_combinations(config: ExperimentConfig) -> None:
    num_clients = config.partition.num_clients
    attack = config.attack
    check_rounds(config.start, config.num_rounds)
    if attack.num_malicious > num_clients:
        raise ConfigError(
            "attack.num_malicious",
            attack.num_malicious,
            f"must be at most partition.num_clients = {num_clients}",
        )
    if config.participants_per_round > num_clients:
        raise ConfigError(
            "clients_per_round",
            config.clients_per_round,
            f"must be at most partition.num_clients = {num_clients}",
        )
    if config.server.min_replies > config.participants_per_round:
        raise ConfigError(
            "server.min_replies",
            config.server.min_replies,
            f"must be at most the participants of a round, {config.participants_per_round}",
        )
    if attack.last_round is not None and attack.last_round < attack.first_round:
        raise ConfigError(
            "attack.last_round",
            attack.last_round,
            f"must be null or at least attack.first_round = {attack.first_round}",
        )
    if config.attacks and attack.first_round > config.num_rounds:
        raise ConfigError(
            "attack.first_round",
            attack.first_round,
            f"must be at most num_rounds = {config.num_rounds}, or nobody attacks; attack=none is a run "
            "without attackers",
        )
    if attack.augment_trigger:
        _check_augmented_trigger(config)
    check_optimizer(config.client, "client")
    check_optimizer(attack.training.beside(config.client), "attack.training")
    check_decay(attack.training)
    if attack.participation == "fixed" and attack.most_at_once > config.participants_per_round:
        raise ConfigError(
            "attack.participation",
            attack.participation,
            f"{attack.most_at_once} malicious clients attack at the same time, only "
            f"{config.participants_per_round} clients take part in a round",
        )


def _check_augmented_trigger(config: ExperimentConfig) -> None:
    key, value = "attack.augment_trigger", config.attack.augment_trigger
    if not config.augmentation.steps:
        raise ConfigError(key, value, "there is no augmentation; take augmentation=crop_flip, or false")
    if config.attack.trigger_space != "pixel":
        raise ConfigError(
            key, value, "needs the trigger in pixels; take attack.trigger_space=pixel, or false"
        )


__all__ = [
    "AttackConfig",
    "AugmentationConfig",
    "CallConfig",
    "ClientConfig",
    "DeploymentConfig",
    "Device",
    "ExperimentConfig",
    "PartitionConfig",
    "ServerConfig",
    "SimulationConfig",
    "TrainingConfig",
    "parse",
    "parse_json",
    "parse_whole",
]
