"""What every schedule of the learning rate over rounds is, and the warm-up that each may begin with."""

from abc import ABC, abstractmethod

from fl_backdoor.core.types import Count, Ratio


class LRSchedule(ABC):
    """What the learning rate of a round is, as a multiple of ``client.learning_rate``.

    Warm-up rises in equal steps, as in P. Goyal et al., Accurate, Large Minibatch SGD, 2017,
    https://arxiv.org/abs/1706.02677, section 2.2: in its last round the rate is the full one.

    Parameters
    ----------
    warmup_rounds
        W: round W is the first with the full learning rate; 0: round 1 is, and so it is for 1.
    warmup_start
        The factor of round 1; null: 1 / W, so that round t of the warm-up has t / W.
    """

    def __init__(self, *, warmup_rounds: Count = 0, warmup_start: Ratio | None = None) -> None:
        self.warmup_rounds = warmup_rounds
        self.warmup_start = warmup_start

    @property
    def first_full(self) -> int:
        """The first round with the full learning rate."""
        return max(1, self.warmup_rounds)

    def factor(self, server_round: int, num_rounds: int) -> float:
        """Return what the learning rate is multiplied by in a round, over 0.

        Parameters
        ----------
        server_round
            Counted from 1.
        num_rounds
            How many the run has.
        """
        if server_round < self.first_full:
            start = 1 / self.warmup_rounds if self.warmup_start is None else self.warmup_start
            return start + (1 - start) * (server_round - 1) / (self.warmup_rounds - 1)
        return self.full(server_round, num_rounds)

    @abstractmethod
    def full(self, server_round: int, num_rounds: int) -> float:
        """Return the factor of a round from `first_full` on."""

    def share_passed(self, decay_rounds: int | None, server_round: int, num_rounds: int) -> float:
        """Return t / T, at most 1, for T = `decay_rounds`; null: all rounds that are left, and one more."""
        left = num_rounds + 1 - self.first_full if decay_rounds is None else decay_rounds
        return min(1.0, (server_round - self.first_full) / left)
