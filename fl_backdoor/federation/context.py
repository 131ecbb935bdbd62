"""What follows from a configuration alone, on server and clients alike: data, partition, model, attack."""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fl_backdoor.attacks.attack import Attack
from fl_backdoor.attacks.poisoning.base import Poisoning
from fl_backdoor.attacks.schedule import malicious_ids
from fl_backdoor.attacks.training.own import OwnTraining
from fl_backdoor.attacks.triggers.base import Trigger
from fl_backdoor.attacks.updates.base import Manipulation
from fl_backdoor.attacks.updates.scaling import Scaling
from fl_backdoor.config.schema import ExperimentConfig, TrainingConfig
from fl_backdoor.core import plugins
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.layout import Layout
from fl_backdoor.core.seeding import Purpose, generator, integer_seed
from fl_backdoor.data.dataset import Dataset, LabelledDataset, Split
from fl_backdoor.data.partition import partition, unowned
from fl_backdoor.data.root import draw_root
from fl_backdoor.data.samples import CLEAN, Samples
from fl_backdoor.federation.compatibility import sample_spec
from fl_backdoor.models.factory import build_model, layout_of
from fl_backdoor.training.augmentations.base import Augmentation
from fl_backdoor.training.augmentations.series import Series
from fl_backdoor.training.learning_rate import LearningRates
from fl_backdoor.training.precision import Precision, resolve_precision
from fl_backdoor.training.trainer import Trainer

if TYPE_CHECKING:
    from flwr.client import NumPyClient  # so that everything but clients is built without Flower


class ExperimentContext:
    """The parts of an experiment, each built when it is first asked for.

    Parameters
    ----------
    config
        Checked, its data set resolved.
    """

    def __init__(self, config: ExperimentConfig) -> None:
        self.config = config

    @cached_property
    def dataset(self) -> LabelledDataset:
        """The data set's description; its samples are not read."""
        dataset: LabelledDataset = plugins.build(self.config.dataset, "dataset")
        return dataset

    @cached_property
    def data(self) -> Dataset:
        """Training and test samples, memory-mapped."""
        return self.dataset.load()

    @cached_property
    def root_rows(self) -> NDArray[np.int64]:
        """Which training samples the server has for itself, int64 ``(server.root_samples,)``, ascending.

        Raises
        ------
        ConfigError
            If too few would be left for the clients, or too few are of the classes that are asked for.
        """
        server, labels = self.config.server, self.data.train.labels
        most = len(labels) - self.config.partition.num_clients
        if server.root_samples > most:
            raise ConfigError(
                "server.root_samples",
                server.root_samples,
                f"must be at most {most}: of {len(labels)} training samples each client needs one",
            )
        random = generator(self.config.seed, Purpose.ROOT_SAMPLES)
        return draw_root(labels, server.root_samples, random, server.root_bias, server.root_class)

    @cached_property
    def partition(self) -> list[NDArray[np.int64]]:
        """Indices of each client's training samples; none of them is the server's."""
        labels = self.data.train.labels
        rest = np.setdiff1d(np.arange(len(labels)), self.root_rows)
        config = self.config.partition
        ids = None if config.column is None else self.dataset.natural_ids(config.column)[rest]
        plan = partition(labels[rest], config, self.config.seed, self.dataset.cache, ids)
        return [rest[indices] for indices in plan]

    @cached_property
    def label_counts(self) -> NDArray[np.int64]:
        """How many training samples of each class each client has, int64 ``(n_clients, n_classes)``."""
        labels, num_classes = self.data.train.labels, self.dataset.num_classes
        return np.stack([np.bincount(labels[rows], minlength=num_classes) for rows in self.partition])

    @property
    def notices(self) -> list[str]:
        """What the user must not miss and is known only once the data has been dealt out, a line each."""
        line = unowned(self.data.train.labels, self.partition, self.config.server.root_samples)
        return [line] if line else []

    @cached_property
    def malicious_ids(self) -> frozenset[int]:
        """Who is malicious.

        Raises
        ------
        ConfigError
            If too few clients hold the target class, or do without it, as the attack requires.
        """
        config, attack = self.config, self.config.attack
        candidates = None if attack.holds_target is None else self._holders(attack.holds_target)
        if candidates is not None and len(candidates) < attack.num_malicious:
            which = "with" if attack.holds_target else "without"
            raise ConfigError(
                "attack.num_malicious",
                attack.num_malicious,
                f"attack.holds_target = {attack.holds_target} leaves {len(candidates)} clients, those "
                f"{which} samples of class {attack.target_label}; see partition",
            )
        return malicious_ids(config.partition.num_clients, attack.num_malicious, config.seed, candidates)

    def _holders(self, holds: bool) -> set[int]:
        """Return the clients that have a training sample of the target class, or those that have none."""
        is_target = self.data.train.labels == self.config.attack.target_label
        return {client for client, indices in enumerate(self.partition) if is_target[indices].any() == holds}

    @cached_property
    def model(self) -> nn.Module:
        """The model on its device, with the weights that round 1 starts from.

        Raises
        ------
        ConfigError
            If it does not go with the samples.
        """
        seed, spec = integer_seed(self.config.seed, Purpose.MODEL), self.config.model
        described = sample_spec(self.dataset, spec, "model")
        return build_model(spec, described, self.dataset.num_classes, seed, self.device, inputs=self._inputs)

    @cached_property
    def layout(self) -> Layout:
        """The model's tensors, and which of them count as parameters."""
        return layout_of(self.model).as_counted(self.config.server.buffers)

    @cached_property
    def trainer(self) -> Trainer:
        """What trains the model for one client after the other."""
        return Trainer(self.model, self.config.client, self.precision, augmentation=self.augmentation)

    @cached_property
    def augmentation(self) -> Augmentation | None:
        """What changes training samples at random; None: nothing.

        Raises
        ------
        ConfigError
            If a step cannot be built, or does not go with the samples.
        """
        settings = self.config.augmentation
        steps = [self._augmentation(name, settings.step[name]) for name in settings.steps]
        return Series(steps).to(self.device) if steps else None

    def _augmentation(self, name: str, spec: plugins.Spec) -> Augmentation:
        key = f"augmentation.step.{name}"
        step: Augmentation = plugins.build(spec, key, **sample_spec(self.dataset, spec, key, "augmentation"))
        return step

    def begin_round(self, server_round: int) -> None:
        """Have the trainer's learning rate be that of a round, counted from 1."""
        self.trainer.rate_factor = self._rates.factor(server_round)

    def learning_rate(self, server_round: int) -> float:
        """Return the learning rate of benign clients in a round, counted from 1."""
        return self._rates.benign(server_round)

    @cached_property
    def _rates(self) -> LearningRates:
        return LearningRates(self.config)

    @cached_property
    def training_samples(self) -> Samples:
        """All training samples on the device; a client's are those at its indices."""
        return self.dataset.on_device(self.data.train, self.device)

    def first_samples(self, count: int, device: torch.device) -> Samples:
        """Return the first `count` training samples, or as many as there are, on a device."""
        train = self.data.train
        return self.dataset.on_device(Split(train.samples[:count], train.labels[:count]), device)

    def _inputs(self) -> torch.Tensor:
        samples = self.first_samples(2, torch.device("cpu"))
        return samples.batch(samples.rows, CLEAN)[0]

    @cached_property
    def test_samples(self) -> Samples:
        """All test samples on the device."""
        return self.dataset.on_device(self.data.test, self.device)

    @cached_property
    def trigger(self) -> Trigger:
        """What malicious clients stamp, and what backdoor figures are measured with.

        Raises
        ------
        ConfigError
            If it does not go with the samples, or not with the space in which it is to be stamped.
        """
        attack, key = self.config.attack, "attack.trigger"
        trigger: Trigger = plugins.build(
            attack.trigger, key, **sample_spec(self.dataset, attack.trigger, key)
        )
        if trigger.raw_only and attack.trigger_space != "pixel":
            raise ConfigError(
                "attack.trigger_space", attack.trigger_space, f"{type(trigger).__name__} takes pixel alone"
            )
        return trigger.to(self.device)

    @cached_property
    def attack(self) -> Attack:
        """The parts of the attack; in a run without attack trigger and poisoning measure its clean model.

        Raises
        ------
        ConfigError
            If a part cannot be built.
        """
        attack = self.config.attack
        training = attack.training
        is_own = training != TrainingConfig()
        return Attack(
            attack,
            self.trigger,
            self.poisoning,
            OwnTraining(training, self._part("objective"), self._part("constraint")) if is_own else None,
            self._updates,
        )

    @cached_property
    def poisoning(self) -> Poisoning:
        """Which samples of malicious clients change and how, and what ASR is measured with."""
        attack = self.config.attack
        given = {"num_classes": self.dataset.num_classes, "target_label": attack.target_label}
        poisoning: Poisoning = plugins.build(attack.poisoning, "attack.poisoning", **given)
        return poisoning.to(self.device)

    @property
    def _updates(self) -> tuple[Manipulation, ...]:
        attack = self.config.attack
        named = [plugins.build(attack.update[name], f"attack.update.{name}") for name in attack.updates]
        boosts = attack.boost_factor != 1 and "scaling" not in attack.updates
        return (*([Scaling(factor=attack.boost_factor)] if boosts else []), *named)

    def _part(self, name: str) -> Any:  # noqa: ANN401 - an objective or a constraint
        spec = getattr(self.config.attack.training, name)
        return plugins.build(spec, f"attack.training.{name}") if spec else None

    @cached_property
    def benign_client(self) -> "Callable[..., NumPyClient]":
        """From a ``task`` to a benign client.

        Raises
        ------
        ConfigError
            If it cannot be imported or its settings are wrong.
        """
        target, options = {plugins.TARGET: self.config.client._target_}, self.config.client.options
        plugins.resolve(target, "client")
        return plugins.factory({**target, **options}, "client.options", "task")

    @cached_property
    def malicious_client(self) -> "Callable[..., NumPyClient]":
        """From ``task``, ``adversary`` and ``rank`` to a malicious client; raises like `benign_client`."""
        return plugins.factory(self.config.attack.client, "attack.client", "task", "adversary", "rank")

    def rank_of(self, client_id: int) -> int:
        """Return a malicious client's rank among all of them, from 0, in the order of their ids."""
        return self._ranks[client_id]

    @cached_property
    def _ranks(self) -> dict[int, int]:
        return {client_id: rank for rank, client_id in enumerate(sorted(self.malicious_ids))}

    @cached_property
    def device(self) -> torch.device:
        """Where models are trained and evaluated in this process."""
        wanted = self.config.engine.device
        if wanted == "auto":
            wanted = "cuda" if torch.cuda.is_available() else "cpu"
        return torch.device(wanted)

    @cached_property
    def precision(self) -> Precision:
        """What models compute in."""
        return resolve_precision(self.config.precision, self.device)
