"""A client that plants a backdoor; apart from that it does what every client does."""

from collections.abc import Sequence

import numpy as np

from clients.benign import BenignClient, LocalTask
from fl_backdoor.attacks.data_poisoning.stamp_and_relabel import stamp_and_relabel
from fl_backdoor.attacks.model_poisoning.boost import boost
from fl_backdoor.attacks.schedule import Schedule
from fl_backdoor.attacks.triggers.base import Trigger
from fl_backdoor.config import AttackConfig
from fl_backdoor.training import CLEAN, Poison
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
        What it stamps.
    """

    def __init__(self, task: LocalTask, attack: AttackConfig, trigger: Trigger) -> None:
        super().__init__(task)
        self.attack = attack
        self.trigger = trigger
        self.schedule = Schedule(attack.first_round, attack.last_round, attack.every)

    def attacks(self, server_round: int) -> bool:
        """Return whether the attack is on in this round."""
        return self.schedule.is_active(server_round, self.task.client_id)

    def poison(self, server_round: int) -> Poison:
        """Return the poisoning of this round's batches."""
        num_stamped = self.attack.num_stamped(self.task.trainer.settings.batch_size)
        if num_stamped == 0 or not self.attacks(server_round):
            return CLEAN
        return stamp_and_relabel(
            self.trigger, num_stamped, self.attack.target_label, self.attack.trigger_space
        )

    def submitted(
        self, received: Sequence[np.ndarray], trained: ModelArrays, server_round: int
    ) -> ModelArrays:
        """Return the trained model, its update multiplied by the boost factor while the attack is on."""
        factor = self.attack.boost_factor if self.attacks(server_round) else 1
        return boost(received, trained, factor)
