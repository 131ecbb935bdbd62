"""The learning rate is multiplied by a factor after certain rounds.

As FLPoison (https://github.com/vio1etus/FLPoison) has it, with PyTorch's ``MultiStepLR`` over rounds:
milestones below 1 are shares of the run's rounds, the factor is 0.1.
"""

from fl_backdoor.core.shares import share_of
from fl_backdoor.core.types import Count, Positive, Ratio
from fl_backdoor.training.lr_schedules.base import LRSchedule


class Milestones(LRSchedule):
    """γ^k after k of the milestones.

    Parameters
    ----------
    milestones
        After how many rounds the learning rate falls; below 1: after which share of all rounds, rounded down.
    gamma
        γ, what it is multiplied by each time.
    warmup_rounds, warmup_start
        See `LRSchedule`. Milestones count rounds from the beginning of the run, whatever the warm-up.
    """

    def __init__(
        self,
        *,
        milestones: tuple[Positive, ...] = (0.5, 0.8),
        gamma: Ratio = 0.1,
        warmup_rounds: Count = 0,
        warmup_start: Ratio | None = None,
    ) -> None:
        super().__init__(warmup_rounds=warmup_rounds, warmup_start=warmup_start)
        self.milestones = milestones
        self.gamma = gamma

    def full(self, server_round: int, num_rounds: int) -> float:
        """Return γ^k."""
        rounds = [share_of(num_rounds, one) if one < 1 else one for one in self.milestones]
        return float(self.gamma ** sum(server_round > last for last in rounds))
