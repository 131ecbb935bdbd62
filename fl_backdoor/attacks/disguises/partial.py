"""Attackers that change direction, or share out the work: each is malicious in some coordinates alone.

The model's parameters are dealt out into parts at random. In one of them the attacker sends what it learnt
from poisoned samples, in all others what it would have learnt without. With another part every few rounds it
has no direction that lasts; with a part of its own it shares none with the other attackers. Over rounds, or
over attackers, the parts make a whole backdoor.
"""

import numpy as np

from fl_backdoor.attacks.disguises.base import Attempt, Disguise
from fl_backdoor.core.seeding import Purpose, generator
from fl_backdoor.core.types import ParameterVector, PositiveCount


class Partial(Disguise):
    """Poisons one part of the coordinates.

    Parameters
    ----------
    num_parts
        Into how many the parameters are dealt out; 1 is no disguise.
    every
        Rounds after which an attacker goes on to the next part; null: never.
    together
        Whether all attackers work in the same part; else neighbours by their place work in neighbouring ones.
    """

    def __init__(self, *, num_parts: PositiveCount, every: PositiveCount | None, together: bool) -> None:
        self.num_parts = num_parts
        self.every = every
        self.together = together

    def disguised(self, attempt: Attempt) -> ParameterVector:
        """Return the update in the attacker's part, and the honest one elsewhere."""
        dealt = generator(attempt.seed, Purpose.DISGUISE).integers(self.num_parts, size=len(attempt.update))
        return np.where(dealt == self.part(attempt), attempt.update, attempt.honest())

    def part(self, attempt: Attempt) -> int:
        """Return the part in which the attacker works in this round."""
        moves = 0 if self.every is None else (attempt.server_round - 1) // self.every
        return (moves + (0 if self.together else attempt.place)) % self.num_parts
