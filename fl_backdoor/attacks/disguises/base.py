"""What every disguise is."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from fl_backdoor.core.types import ParameterVector


@dataclass(frozen=True)
class Attempt:
    """What a malicious client would send, and what it knows.

    Parameters
    ----------
    update
        Trained on poisoned samples and boosted, float32 ``(n_params,)``.
    honest
        Returns the update that the same batches without poison give; it costs a second training.
    seed
        The run's: what is drawn from it alone all malicious clients have in common.
    server_round
        Counted from 1.
    client_id
        Whose update it is.
    place
        Its place among the malicious clients, from 0.
    """

    update: ParameterVector
    honest: Callable[[], ParameterVector]
    seed: int
    server_round: int
    client_id: int
    place: int


class Disguise(ABC):
    """A change of what a malicious client sends; neither buffers nor rounds without attack are touched."""

    @abstractmethod
    def disguised(self, attempt: Attempt) -> ParameterVector:
        """Return what is sent instead of ``attempt.update``, float32 ``(n_params,)``, finite."""
