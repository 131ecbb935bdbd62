"""An attack: who and when, what data, how it trains, what it sends, and what attackers tell each other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from fl_backdoor.attacks.poisoning.base import Poisoning, drawn_once
from fl_backdoor.attacks.schedule import Schedule
from fl_backdoor.attacks.shared_state import PREVIOUS_MODEL, TRIGGER, packed, unpacked
from fl_backdoor.attacks.training.own import OwnTraining
from fl_backdoor.attacks.triggers.base import NOTHING, Trigger
from fl_backdoor.attacks.updates.base import Manipulation
from fl_backdoor.config.attack import AttackConfig
from fl_backdoor.core.types import ParameterVector
from fl_backdoor.data.samples import Poison, Samples


@dataclass(frozen=True)
class Attack:
    """The parts of an attack.

    Parameters
    ----------
    config
        Poison ratio, target, schedule.
    trigger
        As it was before anybody attacked.
    poisoning
        Which samples change and how.
    training
        How attackers train; None: as benign clients do.
    updates
        What is done to an update before it is sent, in order.
    """

    config: AttackConfig
    trigger: Trigger
    poisoning: Poisoning
    training: OwnTraining | None = None
    updates: tuple[Manipulation, ...] = ()
    _chosen: dict[int, torch.Tensor] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def schedule(self) -> Schedule:
        """Who attacks when."""
        return Schedule(self.config.first_round, self.config.last_round, self.config.every)

    @property
    def needs_previous_model(self) -> bool:
        """Whether a part asks for the last movement of the global model."""
        in_training = self.training is not None and self.training.needs_previous_model
        return in_training or any(update.needs_previous_model for update in self.updates)

    def poisons(self, labels: NDArray[np.int64], batch_size: int) -> bool:
        """Return whether a client with samples of these classes poisons any.

        `batch_size` is the size of its largest batch.
        """
        if self.config.num_poisoned(batch_size) == 0:
            return False
        return bool(self.poisoning.poisoned_classes()[labels].any())

    def does_harm(self, labels: NDArray[np.int64], batch_size: int) -> bool:
        """Return whether such a client, when it attacks, does anything else than a benign one."""
        return self.config.goes_beyond_data or self.poisons(labels, batch_size)

    def poison(
        self, trigger: Trigger, samples: Samples, batch_size: int, *, seed: int, client_id: int
    ) -> Poison:
        """Return what is done to the training batches of a client.

        Parameters
        ----------
        trigger
            As it is now.
        samples
            The client's.
        batch_size
            The size of its largest batch.
        seed, client_id
            The samples that are drawn once follow from them.
        """
        space = self.config.trigger_space
        if self.poisoning.once:
            chosen = self._drawn_once(samples, seed, client_id)
            poison = self.poisoning.of_samples(trigger, space, chosen)
        else:
            poison = self.poisoning.in_batches(trigger, space, self.config.num_poisoned(batch_size))
        return replace(poison, is_augmented=True) if self.config.augment_trigger else poison

    def _drawn_once(self, samples: Samples, seed: int, client_id: int) -> torch.Tensor:
        """Return which of all stored samples a client poisons; the same object each time."""
        if client_id not in self._chosen:
            drawn = drawn_once(len(samples), self.config.alpha, seed, client_id)
            chosen = torch.zeros(len(samples.labels), dtype=torch.bool)
            chosen[samples.rows[torch.from_numpy(drawn)]] = True
            self._chosen[client_id] = chosen.to(samples.labels.device)
        return self._chosen[client_id]

    def merged_state(
        self, before: bytes, sent_states: Sequence[bytes], sent: Callable[[], ParameterVector] | None
    ) -> bytes:
        """Return what malicious clients know of each other after a round.

        Parameters
        ----------
        before
            What they knew in it.
        sent_states
            What each of them, and whoever else sent something, says.
        sent
            Returns the parameters of the global model that they were sent; None: none of them was sent one.
        """
        state = dict(unpacked(before))
        learnt = self.trigger.merged([unpacked(piece).get(TRIGGER, NOTHING) for piece in sent_states])
        if learnt.size:
            state[TRIGGER] = learnt
        if self.needs_previous_model and sent is not None:
            state[PREVIOUS_MODEL] = sent()
        return packed(state)
