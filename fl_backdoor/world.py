"""What follows from a configuration alone, on server and clients alike: data, partition, model, trigger."""

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fl_backdoor import plugins
from fl_backdoor.attacks.disguises.base import Disguise
from fl_backdoor.attacks.schedule import malicious_ids
from fl_backdoor.attacks.triggers.base import Trigger
from fl_backdoor.config import ExperimentConfig
from fl_backdoor.data.dataset import Dataset, LabelledDataset
from fl_backdoor.data.partition import partition
from fl_backdoor.errors import ConfigError
from fl_backdoor.fitting import told
from fl_backdoor.models.factory import build_model, layout_of
from fl_backdoor.precision import Precision, resolve_precision
from fl_backdoor.samples import Samples
from fl_backdoor.seeding import Purpose, generator, integer_seed
from fl_backdoor.training import Trainer
from fl_backdoor.updates import Layout


class World:
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
        """Which test samples the server has for itself, int64 ``(server.root_samples,)``, ascending.

        Raises
        ------
        ConfigError
            If none would be left to measure figures on.
        """
        count, num_test = self.config.server.root_samples, len(self.data.test.labels)
        if count >= num_test:
            raise ConfigError("server.root_samples", count, f"fewer than the {num_test} of the test set")
        random = generator(self.config.seed, Purpose.ROOT_SAMPLES)
        return np.sort(random.choice(num_test, count, replace=False))

    @cached_property
    def test_rows(self) -> NDArray[np.int64]:
        """Which test samples figures are measured on: all but the server's own."""
        return np.setdiff1d(np.arange(len(self.data.test.labels)), self.root_rows)

    @cached_property
    def partition(self) -> list[NDArray[np.int64]]:
        """Indices of each client's training samples."""
        return partition(self.data.train.labels, self.config.partition, self.config.seed, self.dataset.cache)

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
        described = told(self.dataset, spec, "model")
        return build_model(spec, described, self.dataset.num_classes, seed).to(self.device)

    @cached_property
    def layout(self) -> Layout:
        """The model's tensors, and which of them count as parameters."""
        return layout_of(self.model).as_counted(self.config.server.buffers)

    @cached_property
    def trainer(self) -> Trainer:
        """What trains the model for one client after the other."""
        return Trainer(self.model, self.config.client, self.precision)

    @cached_property
    def training_samples(self) -> Samples:
        """All training samples on the device; a client's are those at its indices."""
        return self.dataset.on_device(self.data.train, self.device)

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
        trigger: Trigger = plugins.build(attack.trigger, key, **told(self.dataset, attack.trigger, key))
        if trigger.raw_only and attack.trigger_space != "pixel":
            raise ConfigError(
                "attack.trigger_space", attack.trigger_space, f"{type(trigger).__name__} takes pixel alone"
            )
        return trigger.to(self.device)

    def trigger_of(self, client_id: int) -> Trigger:
        """Return what a malicious client stamps: the trigger, or its part of it."""
        return self.trigger.part(self.place_of(client_id))

    def place_of(self, client_id: int) -> int:
        """Return a malicious client's place among all of them, from 0."""
        return self._places[client_id]

    @cached_property
    def _places(self) -> dict[int, int]:
        return {client_id: place for place, client_id in enumerate(sorted(self.malicious_ids))}

    @cached_property
    def disguise(self) -> Disguise | None:
        """How malicious clients hide what they send; None if they do not."""
        spec = self.config.attack.disguise
        disguise: Disguise | None = plugins.build(spec, "attack.disguise") if spec else None
        return disguise

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
