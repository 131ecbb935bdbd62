"""What a selection is given, and what it returns.

It is the bench's own: no strategy sees it, and no client is told of it. It knows who is malicious, as a
paper's experiment does; nothing that it knows reaches a defence.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.attacks.schedule import Schedule
from fl_backdoor.config.schema import ExperimentConfig

ClientIds = Sequence[int] | NDArray[np.int64]


@dataclass(frozen=True)
class Candidates:
    """Whom a round can draw from.

    Parameters
    ----------
    num_participants
        How many take part in each round.
    sizes
        Training samples of each client, by id, as the partition deals them out. What a client on another
        machine claims to have does not count.
    malicious
        Who attacks in this run, ascending; nobody in a run that does not differ from one without attackers.
    schedule
        In which rounds they attack.
    """

    num_participants: int
    sizes: Sequence[int]
    malicious: Sequence[int] = ()
    schedule: Schedule = field(default_factory=lambda: Schedule(1, None))

    @property
    def num_clients(self) -> int:
        """All clients there are."""
        return len(self.sizes)


class Selection(ABC):
    """A way to say who takes part in a round.

    A draw follows from the round and its random numbers alone: a run that was cut off draws the same.
    """

    def check(self, config: ExperimentConfig) -> None:  # noqa: B027 - most have nothing to refuse
        """Refuse settings that cannot work, before any data are read: here, none.

        Raises
        ------
        ConfigError
            At the first one.
        """

    @abstractmethod
    def drawn(self, server_round: int, candidates: Candidates, random: np.random.Generator) -> ClientIds:
        """Return who takes part in a round: `num_participants` different client ids, in the order drawn.

        Parameters
        ----------
        server_round
            Counted from 1.
        candidates
            Whom to draw from.
        random
            Follows from the run's seed and the round.
        """
