"""The learning rate falls in equal steps.

As in the code of Neurotoxin (Z. Zhang et al., ICML 2022, https://arxiv.org/abs/2206.10341), for benign
clients: from 0.001 up to 0.2 in round 500, then down to 0 in round 2000, and no lower than 0.0001. That is
``client.learning_rate=0.2 lr_schedule.warmup_rounds=500 lr_schedule.warmup_start=0.005
lr_schedule.decay_rounds=1500 lr_schedule.floor=0.0005``. The code of A3FL (NeurIPS 2023) has it too.
"""

from fl_backdoor.core.types import Count, PositiveCount, Ratio, Share
from fl_backdoor.training.lr_schedules.base import LRSchedule


class Linear(LRSchedule):
    """max(floor, 1 - t/T) in the t-th round after the first with the full learning rate.

    Parameters
    ----------
    decay_rounds
        T, after how many rounds 0 is reached; null: in the round that would follow the last one.
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
        """Return the line, and the floor after it."""
        return max(self.floor, 1 - self.share_passed(self.decay_rounds, server_round, num_rounds))
