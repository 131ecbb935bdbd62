"""Anybody's `NumPyClient`, made malicious."""

from collections.abc import Iterable, Sequence

import numpy as np
from flwr.client import NumPyClient
from flwr.common import NDArrays, Scalar

from clients.manipulated import Turn, check_alone, manipulated_arrays, round_of
from fl_backdoor.attacks.schedule import Schedule
from fl_backdoor.attacks.updates.base import Manipulation


class MaliciousNumPyClient(NumPyClient):
    """A client that trains as another one does, on poisoned data, and changes its update before it sends it.

    In rounds in which it does not attack, and in evaluation, it is the honest client.

    Parameters
    ----------
    honest
        The client as it was.
    poisoned
        The same with poisoned data, see `fl_backdoor.attacks.PoisonedDataset`; None: the honest one trains.
    updates
        Manipulations of the update, in this order. Some train the honest client as well.
    schedule
        Rounds in which it attacks; None: all.
    rank, num_malicious
        Its rank among the malicious clients, from 0, and how many there are.
    seed
        Of what manipulations draw; malicious clients have it in common.
    names
        Of the model's arrays, such as ``model.state_dict()``, see `manipulated_arrays`.

    Raises
    ------
    ConfigError
        If a manipulation lives on what only the bench passes on. In `fit`: if there is a schedule or a
        manipulation, and the server does not tell the round (``server-round`` or ``server_round``).
    """

    def __init__(
        self,
        honest: NumPyClient,
        poisoned: NumPyClient | None = None,
        *,
        updates: Sequence[Manipulation] = (),
        schedule: Schedule | None = None,
        rank: int = 0,
        num_malicious: int = 1,
        seed: int = 0,
        names: Iterable[str] | None = None,
    ) -> None:
        check_alone(updates)
        self.honest = honest
        self.poisoned = poisoned or honest
        self.updates = tuple(updates)
        self.schedule = schedule
        self.rank = rank
        self.num_malicious = num_malicious
        self.seed = seed
        self.names = None if names is None else list(names)

    def fit(self, parameters: NDArrays, config: dict[str, Scalar]) -> tuple[NDArrays, int, dict[str, Scalar]]:
        """Train on poisoned data and change the update; outside its rounds, train as the honest client."""
        if self.schedule is not None and not self.schedule.is_active(round_of(config), self.rank):
            return self.honest.fit(parameters, config)
        if not self.updates:
            return self.poisoned.fit(parameters, config)
        received = copied(parameters)
        turn = Turn(round_of(config), self.rank, self.num_malicious, self.seed)
        trained, num_examples, metrics = self.poisoned.fit(parameters, config)
        sent = manipulated_arrays(
            self.updates,
            trained,
            received,
            turn,
            names=self.names,
            honest=lambda: self.honest.fit(copied(received), config)[0],
        )
        return sent, num_examples, metrics

    def evaluate(
        self, parameters: NDArrays, config: dict[str, Scalar]
    ) -> tuple[float, int, dict[str, Scalar]]:
        """Evaluate as the honest client."""
        return self.honest.evaluate(parameters, config)

    def get_parameters(self, config: dict[str, Scalar]) -> NDArrays:
        """Return what the honest client does."""
        return self.honest.get_parameters(config)

    def get_properties(self, config: dict[str, Scalar]) -> dict[str, Scalar]:
        """Return what the honest client does."""
        return self.honest.get_properties(config)


def copied(arrays: NDArrays) -> NDArrays:
    """Return copies: a client may train on the arrays that it is given."""
    return [np.array(array) for array in arrays]
