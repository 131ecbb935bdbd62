"""Noise to hide in: attackers' updates resemble each other less.

Each attacker draws its own in each round. In a mean over n clients noise of one of them is divided by n, and
what attackers share is not divided among themselves: the backdoor loses less than a comparison of updates.
"""

import numpy as np

from fl_backdoor.attacks.knowledge import Knowledge
from fl_backdoor.attacks.updates.base import Manipulation
from fl_backdoor.core.seeding import Purpose, generator
from fl_backdoor.core.types import ParameterVector, Positive


class Noise(Manipulation):
    """Adds a random direction.

    Parameters
    ----------
    ratio
        Its length beside that of the update.
    """

    def __init__(self, *, ratio: Positive = 1.0) -> None:
        self.ratio = ratio

    def manipulated(self, update: ParameterVector, knowledge: Knowledge) -> ParameterVector:
        """Return the update plus noise of `ratio` times its length."""
        random = generator(
            knowledge.seed, Purpose.UPDATE_MANIPULATION, knowledge.server_round, knowledge.client_id
        )
        noise = random.standard_normal(len(update), dtype=np.float32)
        length = self.ratio * float(np.linalg.norm(update)) / float(np.linalg.norm(noise))
        return update + np.float32(length) * noise
