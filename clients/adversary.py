"""What malicious clients have in common: one adversary is behind all of them, and owns their data."""

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
from flwr.client import NumPyClient

from clients.benign import SERVER_ROUND
from fl_backdoor.attacks.attack import Attack
from fl_backdoor.core.layout import Layout
from fl_backdoor.core.types import ModelArrays, ParameterVector, UpdateMatrix
from fl_backdoor.models.factory import load_arrays
from fl_backdoor.training.hooks import HookedTrainer
from fl_backdoor.training.trainer import Trainer


class Adversary:
    """Whoever is behind the malicious clients of a worker.

    Parameters
    ----------
    attack
        The parts of the attack.
    benign
        Trains benign clients.
    layout
        The model's tensors, and which of them count as parameters.
    client_ids
        The malicious clients whose data lie here, ascending.
    build
        Returns the benign client that would have the data of a malicious one.
    """

    def __init__(
        self,
        attack: Attack,
        benign: Trainer,
        layout: Layout,
        client_ids: Sequence[int],
        build: Callable[[int], NumPyClient],
    ) -> None:
        self.attack = attack
        self.layout = layout
        self._benign = benign
        self._client_ids = client_ids
        self._build = build
        self._trained: tuple[int, ModelArrays, UpdateMatrix] | None = None

    @cached_property
    def trainer(self) -> HookedTrainer | None:
        """What trains the model in attacks; None: what trains benign clients does."""
        training, benign = self.attack.training, self._benign
        if training is None:
            return None
        settings = training.client_settings(benign.settings)
        return HookedTrainer(
            benign.model, settings, training, benign.precision, augmentation=benign.augmentation
        )

    def honest_update(self, client_id: int, received: ModelArrays, server_round: int) -> ParameterVector:
        """Return the update that a malicious client's samples give without poison, float32 ``(n_params,)``.

        The model of the trainers is left as `received`.
        """
        config = {SERVER_ROUND: server_round}
        trained, _, _ = self._build(client_id).fit(received, config)  # type: ignore[arg-type]  # invariant dict
        update = self.layout.update(list(trained), received)
        load_arrays(self._benign.model, received)
        return update

    def honest_updates(self, received: ModelArrays, server_round: int) -> UpdateMatrix:
        """Return such updates of all malicious clients, trained once a round.

        float32 ``(n_malicious, n_params)``, rows by client id.
        """
        if self._trained is None or not _is_same(self._trained, server_round, received):
            updates = [
                self.honest_update(client_id, received, server_round) for client_id in self._client_ids
            ]
            copied = [np.array(array) for array in received]
            self._trained = (server_round, copied, np.stack(updates))
        return self._trained[2]


def _is_same(
    trained: tuple[int, ModelArrays, UpdateMatrix], server_round: int, received: ModelArrays
) -> bool:
    number, model, _ = trained
    return number == server_round and all(map(np.array_equal, model, received))
