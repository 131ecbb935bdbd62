"""A client that runs the parts of an attack; apart from that it does what every client does."""

from collections.abc import Iterator, Sequence
from functools import cached_property, partial

import numpy as np
import torch

from clients.adversary import Adversary
from clients.benign import SERVER_ROUND, BenignClient, LocalTask
from fl_backdoor.attacks.knowledge import Knowledge
from fl_backdoor.attacks.shared_state import TRIGGER, packed, unpacked
from fl_backdoor.attacks.training.base import Start
from fl_backdoor.attacks.triggers.base import NOTHING
from fl_backdoor.attacks.updates.applied import manipulated
from fl_backdoor.core.report_names import SHARED_STATE
from fl_backdoor.core.seeding import Purpose, integer_seed
from fl_backdoor.core.types import ModelArrays, ParameterVector
from fl_backdoor.data.samples import CLEAN, Batch, Poison
from fl_backdoor.models.factory import trained_parts
from fl_backdoor.training.trainer import TrainResult


class MaliciousClient(BenignClient):
    """In the rounds of its schedule it poisons batches, trains as the attack has it, and changes its update.

    It claims as many steps as a benign client takes with the same samples, however many it took.

    Buffers, such as BatchNorm's statistics, are sent as they were trained: a variance times ten may well be
    negative. Where they count as parameters (``server.buffers=as_parameters``) manipulations see them as
    well, but for counters.

    Parameters
    ----------
    task
        Data and training, as for a benign client.
    adversary
        Whoever is behind all malicious clients: the parts of the attack. Nothing about the server.
    rank
        Its rank among the malicious clients, from 0: when its turn is, and which part of the trigger is its
        own. None: nobody counts on it; it attacks as the first one does, with the whole trigger.
    """

    def __init__(self, task: LocalTask, adversary: Adversary, rank: int | None = None) -> None:
        super().__init__(task)
        self.adversary = adversary
        self.attack = attack = adversary.attack
        self.rank = rank or 0
        self.trigger = (
            attack.trigger if rank is None else attack.trigger.part(rank, attack.config.num_malicious)
        )
        self.knowledge: Knowledge | None = None

    def attacks(self, server_round: int) -> bool:
        """Return whether it does anything else in this round than a benign client."""
        return self._does_harm and self.attack.schedule.is_active(server_round, self.rank)

    def fit(
        self, parameters: Sequence[np.ndarray], config: dict[str, bool | bytes | float | int | str]
    ) -> tuple[ModelArrays, int, dict[str, bool | bytes | float | int | str]]:
        """Train as every client does, and if it attacks tell the others what its trigger has learnt.

        `config` has what malicious clients have told each other so far as ``shared_state``; the metrics
        returned have what this one adds.
        """
        server_round = int(config[SERVER_ROUND])
        self.knowledge = self._knowledge(list(parameters), server_round, config.get(SHARED_STATE, b""))
        self.trigger = self.trigger.with_learnt(self.knowledge.shared.get(TRIGGER, NOTHING))
        arrays, num_examples, metrics = super().fit(parameters, config)
        learnt = packed({TRIGGER: self.trigger.learnt()}) if self.attacks(server_round) else b""
        return arrays, num_examples, {**metrics, SHARED_STATE: learnt}

    def poison(self, server_round: int) -> Poison:
        """Improve the trigger against the model that was received; return the poisoning of the batches."""
        task, attack = self.task, self.attack
        if not self._poisons or not self.attacks(server_round):
            return CLEAN
        if attack.poisoning.uses_trigger:
            self.trigger = self.trigger.improved(
                task.samples.from_raw(task.trainer.model),
                self._batches(server_round),
                attack.config.target_label,
            )
        return attack.poison(
            self.trigger, task.samples, self._full_batch, seed=task.seed, client_id=task.client_id
        )

    def train(self, server_round: int, poison: Poison) -> TrainResult:
        """Train the model on the batches of this round as the attack has it."""
        trainer, training = self.adversary.trainer, self.attack.training
        if trainer is None or training is None or not self.attacks(server_round):
            return super().train(server_round, poison)
        assert self.knowledge is not None
        model, layout, moved = trainer.model, self.task.layout, self.knowledge.last_movement
        parts = None if moved is None else trained_parts(model, layout, moved)
        training.begin(Start(model, trainer.parameters, parts, self.knowledge))
        trainer.rate_factor = training.rate_factor(self.task.trainer.rate_factor)
        result = self.train_with(trainer, server_round, poison)
        return TrainResult(self.task.trainer.num_steps(len(self.task.samples)), result.loss)

    def submitted(
        self, received: Sequence[np.ndarray], trained: ModelArrays, server_round: int
    ) -> ModelArrays:
        """Return the trained model; while the attack is on its update is manipulated."""
        if not self.attack.updates or not self.attacks(server_round):
            return trained
        assert self.knowledge is not None
        return manipulated(self.attack.updates, trained, self.knowledge)

    @cached_property
    def _poisons(self) -> bool:
        return self.attack.poisons(self._labels, self._full_batch)

    @cached_property
    def _does_harm(self) -> bool:
        return self.attack.does_harm(self._labels, self._full_batch)

    @cached_property
    def _labels(self) -> np.ndarray:
        samples = self.task.samples
        labels: np.ndarray = samples.labels[samples.rows.to(samples.labels.device)].cpu().numpy()
        return labels

    @property
    def _full_batch(self) -> int:
        return self.task.trainer.settings.full_batch(len(self.task.samples))

    def _knowledge(self, received: ModelArrays, server_round: int, shared: object) -> Knowledge:
        task, adversary = self.task, self.adversary
        return Knowledge(
            seed=task.seed,
            server_round=server_round,
            client_id=task.client_id,
            rank=self.rank,
            num_malicious=self.attack.config.num_malicious,
            layout=task.layout,
            received=received,
            shared=unpacked(shared) if isinstance(shared, bytes) else {},
            honest=partial(self._honest_update, received, server_round),
            honest_of_all=partial(adversary.honest_updates, received, server_round),
        )

    def _honest_update(self, received: ModelArrays, server_round: int) -> ParameterVector:
        return self.adversary.honest_update(self.task.client_id, received, server_round)

    def _batches(self, server_round: int) -> Iterator[Batch]:
        """Yield raw samples and labels for ever, in an order that local training does not know."""
        task, samples = self.task, self.task.samples
        seed = integer_seed(task.seed, Purpose.TRIGGER, server_round, task.client_id)
        shuffled = samples.batches(task.trainer.settings.batch_size, torch.Generator().manual_seed(seed))
        return ((samples.raw(indices), samples.labels[indices]) for indices in shuffled)
