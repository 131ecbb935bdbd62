"""The learning rate stays as it is, after the warm-up if there is one."""

from fl_backdoor.training.lr_schedules.base import LRSchedule


class Constant(LRSchedule):
    """The full learning rate in each round."""

    def full(self, server_round: int, num_rounds: int) -> float:
        """Return 1."""
        return 1.0
