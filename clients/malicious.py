"""A client that plants a backdoor; apart from that it does what every client does."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from clients.benign import SERVER_ROUND, BenignClient, LocalTask
from fl_backdoor.attacks.data_poisoning.stamp_and_relabel import stamp_and_relabel
from fl_backdoor.attacks.disguises.base import Attempt, Disguise
from fl_backdoor.attacks.model_poisoning.boost import boost
from fl_backdoor.attacks.schedule import Schedule
from fl_backdoor.attacks.triggers.base import Trigger
from fl_backdoor.config.schema import AttackConfig
from fl_backdoor.core.seeding import Purpose, integer_seed
from fl_backdoor.core.types import ModelArrays, ParameterVector
from fl_backdoor.data.samples import CLEAN, Batch, Poison
from fl_backdoor.federation.messages import NOTES
from fl_backdoor.models.factory import load_arrays, state_arrays


class MaliciousClient(BenignClient):
    """In the rounds of its schedule it stamps and relabels a share of each batch, and multiplies its update.

    Buffers, such as BatchNorm's statistics, are sent as they were trained: a variance times ten may well be
    negative. Where they count as parameters (``server.buffers=as_parameters``) they are multiplied as well.

    Parameters
    ----------
    task
        Data and training, as for a benign client.
    attack
        Poison ratio, target, boost factor, schedule. Nothing about the server.
    trigger
        What it stamps, as it was before anybody attacked.
    disguise
        How it hides what it sends; None: not at all.
    place
        Its place among the malicious clients, from 0: when its turn is, and what its part of the work.
    """

    def __init__(
        self,
        task: LocalTask,
        attack: AttackConfig,
        trigger: Trigger,
        disguise: Disguise | None = None,
        place: int = 0,
    ) -> None:
        super().__init__(task)
        self.attack = attack
        self.trigger = trigger
        self.disguise = disguise
        self.place = place
        self.schedule = Schedule(attack.first_round, attack.last_round, attack.every)

    def attacks(self, server_round: int) -> bool:
        """Return whether it does anything else in this round than a benign client."""
        return self.attack.does_harm(self._full_batch) and self.schedule.is_active(server_round, self.place)

    def fit(
        self, parameters: Sequence[np.ndarray], config: dict[str, bool | bytes | float | int | str]
    ) -> tuple[ModelArrays, int, dict[str, bool | bytes | float | int | str]]:
        """Train as every client does, and if it attacks tell the others what its trigger has learnt.

        `config` has what malicious clients have told so far as ``notes``; so have the metrics returned.
        """
        notes = config.get(NOTES, b"")
        assert isinstance(notes, bytes)
        self.trigger = self.trigger.told(notes)
        arrays, num_examples, metrics = super().fit(parameters, config)
        learnt = self.trigger.notes() if self.attacks(int(config[SERVER_ROUND])) else b""
        return arrays, num_examples, {**metrics, NOTES: learnt}

    def poison(self, server_round: int) -> Poison:
        """Improve the trigger against the model that was received; return the poisoning of the batches."""
        num_stamped = self.attack.num_stamped(self._full_batch)
        if num_stamped == 0 or not self.attacks(server_round):
            return CLEAN
        self.trigger = self.trigger.improved(
            self.task.samples.from_raw(self.task.trainer.model),
            self._batches(server_round),
            self.attack.target_label,
        )
        return stamp_and_relabel(
            self.trigger, num_stamped, self.attack.target_label, self.attack.trigger_space
        )

    @property
    def _full_batch(self) -> int:
        return self.task.trainer.settings.full_batch(len(self.task.samples))

    def _batches(self, server_round: int) -> Iterator[Batch]:
        """Yield raw samples and labels for ever, in an order that local training does not know."""
        task, samples = self.task, self.task.samples
        seed = integer_seed(task.seed, Purpose.TRIGGER, server_round, task.client_id)
        shuffled = samples.batches(task.trainer.settings.batch_size, torch.Generator().manual_seed(seed))
        return ((samples.raw(indices), samples.labels[indices]) for indices in shuffled)

    def submitted(
        self, received: Sequence[np.ndarray], trained: ModelArrays, server_round: int
    ) -> ModelArrays:
        """Return the trained model; while the attack is on its update is boosted, and disguised."""
        if not self.attacks(server_round):
            return trained
        boosted = boost(self.task.layout, received, trained, self.attack.boost_factor)
        if self.disguise is None:
            return boosted
        return self._disguised(self.disguise, list(received), boosted, server_round)

    def _disguised(
        self, disguise: Disguise, received: ModelArrays, boosted: ModelArrays, server_round: int
    ) -> ModelArrays:
        layout = self.task.layout

        def honest() -> ParameterVector:
            load_arrays(self.task.trainer.model, received)
            self.train(server_round, CLEAN)
            return layout.update(state_arrays(self.task.trainer.model), received)

        attempt = Attempt(
            update=layout.update(boosted, received),
            honest=honest,
            seed=self.task.seed,
            server_round=server_round,
            client_id=self.task.client_id,
            place=self.place,
        )
        return layout.moved(received, disguise.disguised(attempt), layout.buffers(boosted))
