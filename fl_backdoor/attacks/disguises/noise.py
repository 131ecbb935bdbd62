"""Noise to hide in: attackers' updates resemble each other less.

Each attacker draws its own in each round. In a mean over n clients noise of one of them is divided by n, and
what attackers share is not divided among themselves: the backdoor loses less than a comparison of updates.
"""

import numpy as np

from fl_backdoor.attacks.disguises.base import Attempt, Disguise
from fl_backdoor.core.seeding import Purpose, generator
from fl_backdoor.core.types import ParameterVector, Positive


class Noise(Disguise):
    """Adds a random direction.

    Parameters
    ----------
    ratio
        Its length beside that of the update.
    """

    def __init__(self, *, ratio: Positive = 1.0) -> None:
        self.ratio = ratio

    def disguised(self, attempt: Attempt) -> ParameterVector:
        """Return the update plus noise of `ratio` times its length."""
        random = generator(attempt.seed, Purpose.DISGUISE, attempt.server_round, attempt.client_id)
        noise = random.standard_normal(len(attempt.update), dtype=np.float32)
        length = self.ratio * float(np.linalg.norm(attempt.update)) / float(np.linalg.norm(noise))
        return attempt.update + np.float32(length) * noise
