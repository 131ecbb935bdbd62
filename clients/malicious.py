"""A client that plants a backdoor; apart from that it does what every client does."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from clients.benign import SERVER_ROUND, BenignClient, LocalTask
from fl_backdoor.attacks.data_poisoning.stamp_and_relabel import stamp_and_relabel
from fl_backdoor.attacks.model_poisoning.boost import boost
from fl_backdoor.attacks.schedule import Schedule
from fl_backdoor.attacks.triggers.base import Trigger
from fl_backdoor.config import AttackConfig
from fl_backdoor.messages import NOTES
from fl_backdoor.seeding import Purpose, integer_seed
from fl_backdoor.training import CLEAN, Batch, FromPixels, Poison
from fl_backdoor.types import ModelArrays


class MaliciousClient(BenignClient):
    """Stamps and relabels a share of each batch, and multiplies its update, in the rounds of its schedule.

    Parameters
    ----------
    task
        Data and training, as for a benign client.
    attack
        Poison ratio, target, boost factor, schedule. Nothing about the server.
    trigger
        What it stamps, as it was before anybody attacked.
    """

    def __init__(self, task: LocalTask, attack: AttackConfig, trigger: Trigger) -> None:
        super().__init__(task)
        self.attack = attack
        self.trigger = trigger
        self.schedule = Schedule(attack.first_round, attack.last_round, attack.every)

    def attacks(self, server_round: int) -> bool:
        """Return whether the attack is on in this round."""
        return self.schedule.is_active(server_round, self.task.client_id)

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
        num_stamped = self.attack.num_stamped(self.task.trainer.settings.batch_size)
        if num_stamped == 0 or not self.attacks(server_round):
            return CLEAN
        self.trigger = self.trigger.improved(
            FromPixels(self.task.trainer.model, self.task.images),
            self._batches(server_round),
            self.attack.target_label,
        )
        return stamp_and_relabel(
            self.trigger, num_stamped, self.attack.target_label, self.attack.trigger_space
        )

    def _batches(self, server_round: int) -> Iterator[Batch]:
        """Yield pixels and labels for ever, in an order that local training does not know."""
        task, images = self.task, self.task.images
        seed = integer_seed(task.seed, Purpose.TRIGGER, server_round, task.client_id)
        shuffled = images.batches(task.trainer.settings.batch_size, torch.Generator().manual_seed(seed))
        return ((images.in_pixels(indices), images.labels[indices]) for indices in shuffled)

    def submitted(
        self, received: Sequence[np.ndarray], trained: ModelArrays, server_round: int
    ) -> ModelArrays:
        """Return the trained model, its update multiplied by the boost factor while the attack is on."""
        factor = self.attack.boost_factor if self.attacks(server_round) else 1
        return boost(received, trained, factor)
