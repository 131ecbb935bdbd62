"""What follows from a configuration alone, on server and clients alike: data, partition, model, trigger."""

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fl_backdoor.attacks.disguises.base import Disguise
from fl_backdoor.attacks.schedule import malicious_ids
from fl_backdoor.attacks.triggers.base import Trigger
from fl_backdoor.config.schema import ExperimentConfig
from fl_backdoor.core import plugins
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.layout import Layout
from fl_backdoor.core.seeding import Purpose, generator, integer_seed
from fl_backdoor.data.dataset import Dataset, LabelledDataset, Split
from fl_backdoor.data.partition import partition, unowned
from fl_backdoor.data.root import draw_root
from fl_backdoor.data.samples import CLEAN, Samples
from fl_backdoor.federation.compatibility import told
from fl_backdoor.models.factory import build_model, layout_of
from fl_backdoor.training.precision import Precision, resolve_precision
from fl_backdoor.training.trainer import Trainer


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
        plan = partition(labels[rest], self.config.partition, self.config.seed, self.dataset.cache)
        return [rest[indices] for indices in plan]

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
        described = told(self.dataset, spec, "model")
        return build_model(spec, described, self.dataset.num_classes, seed, self.device, inputs=self._inputs)

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
        trigger: Trigger = plugins.build(attack.trigger, key, **told(self.dataset, attack.trigger, key))
        if trigger.raw_only and attack.trigger_space != "pixel":
            raise ConfigError(
                "attack.trigger_space", attack.trigger_space, f"{type(trigger).__name__} takes pixel alone"
            )
        return trigger.to(self.device)

    def trigger_of(self, client_id: int) -> Trigger:
        """Return what a malicious client stamps: the trigger, or its part of it."""
        return self.trigger.part(self.place_of(client_id), len(self.malicious_ids))

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
