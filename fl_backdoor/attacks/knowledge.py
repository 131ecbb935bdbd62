"""What a malicious client knows in a round, beside its own samples."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from fl_backdoor.attacks.shared_state import SharedState, previous_model
from fl_backdoor.core.layout import Layout
from fl_backdoor.core.types import ModelArrays, ParameterVector, UpdateMatrix


@dataclass(frozen=True)
class Knowledge:
    """What a malicious client knows in a round, beside its own samples.

    Parameters
    ----------
    seed
        The run's: what is drawn from it alone all malicious clients have in common.
    server_round
        Counted from 1.
    client_id
        Its own.
    rank
        Its rank among the malicious clients, from 0, in the order of their ids.
    num_malicious
        How many there are.
    layout
        The model's tensors, and which of them count as parameters.
    received
        The global model that it was sent, in the layout's order.
    shared
        What its like have told each other.
    honest
        Returns the update that its own samples give without poison; it costs a second training.
    honest_of_all
        Returns the updates that all malicious clients would have trained honestly in this round, whether or
        not they take part, float32 ``(n_malicious, n_params)``, rows by client id. The adversary owns their
        data; a worker trains them once a round. Where the data of the others lie on other machines: its own
        update alone.
    """

    seed: int
    server_round: int
    client_id: int
    rank: int
    num_malicious: int
    layout: Layout
    received: ModelArrays
    shared: SharedState
    honest: Callable[[], ParameterVector]
    honest_of_all: Callable[[], UpdateMatrix]

    @cached_property
    def last_movement(self) -> ParameterVector | None:
        """How the global model moved since one of the attackers was last sent one, float32 ``(n_params,)``.

        None where none was before, or no part of the attack says that it asks for it
        (`needs_previous_model`).
        """
        previous = previous_model(self.shared, self.layout.num_params)
        return None if previous is None else self.layout.vector(self.received) - previous
