"""Attackers that change direction, or share out the work: each is malicious in some coordinates alone.

The model's parameters are dealt out into parts at random. In one of them the attacker sends what it learnt
from poisoned samples, in all others what it would have learnt without. With another part every few rounds it
has no direction that lasts; with a part of its own it shares none with the other attackers. Over rounds, or
over attackers, the parts make a whole backdoor.
"""

import numpy as np

from fl_backdoor.attacks.knowledge import Knowledge
from fl_backdoor.attacks.updates.base import Manipulation
from fl_backdoor.core.seeding import Purpose, generator
from fl_backdoor.core.types import ParameterVector, PositiveCount


class Partial(Manipulation):
    """Is malicious in one part of the coordinates.

    Parameters
    ----------
    num_parts
        Into how many the parameters are dealt out; 1 leaves the update as it is.
    every
        Rounds after which an attacker goes on to the next part; null: never.
    together
        Whether all attackers work in the same part; else neighbours by their rank work in neighbouring ones.
    """

    def __init__(self, *, num_parts: PositiveCount, every: PositiveCount | None, together: bool) -> None:
        self.num_parts = num_parts
        self.every = every
        self.together = together

    def manipulated(self, update: ParameterVector, knowledge: Knowledge) -> ParameterVector:
        """Return the update in the attacker's part, and the honest one elsewhere."""
        random = generator(knowledge.seed, Purpose.UPDATE_MANIPULATION)
        dealt = random.integers(self.num_parts, size=len(update))
        return np.where(dealt == self.part(knowledge), update, knowledge.honest())

    def part(self, knowledge: Knowledge) -> int:
        """Return the part in which the attacker works in this round."""
        moves = 0 if self.every is None else (knowledge.server_round - 1) // self.every
        return (moves + (0 if self.together else knowledge.rank)) % self.num_parts
