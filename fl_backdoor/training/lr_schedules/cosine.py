"""The learning rate falls along half a cosine wave.

I. Loshchilov and F. Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, ICLR 2017,
https://arxiv.org/abs/1608.03983, equation 5, without restarts, over rounds in the place of epochs.
"""

import math

from fl_backdoor.core.types import Count, PositiveCount, Ratio, Share
from fl_backdoor.training.lr_schedules.base import LRSchedule


class Cosine(LRSchedule):
    """floor + (1 - floor)·(1 + cos(π·t/T)) / 2 in the t-th round after the first with the full learning rate.

    Parameters
    ----------
    decay_rounds
        T, after how many rounds the floor is reached; null: in the round that would follow the last one.
    floor
        The least factor. 0 needs a T that no round of the run reaches.
    warmup_rounds, warmup_start
        See `LRSchedule`.
    """

    def __init__(
        self,
        *,
        decay_rounds: PositiveCount | None = None,
        floor: Share = 0.0,
        warmup_rounds: Count = 0,
        warmup_start: Ratio | None = None,
    ) -> None:
        super().__init__(warmup_rounds=warmup_rounds, warmup_start=warmup_start)
        self.decay_rounds = decay_rounds
        self.floor = floor

    def full(self, server_round: int, num_rounds: int) -> float:
        """Return the cosine, and the floor after it."""
        passed = self.share_passed(self.decay_rounds, server_round, num_rounds)
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * passed)) / 2
