"""The learning rate is multiplied by the same factor after each round.

As in the code of the edge-case attack (H. Wang et al., Attack of the Tails, NeurIPS 2020,
https://arxiv.org/abs/2007.05084; ``lr * gamma**(round - 1)``, γ = 0.998) and, the same, of IBA (NeurIPS
2023), and of AlignIns (J. Xu et al., CVPR 2025, https://arxiv.org/abs/2503.07978; γ = 0.99). Deviation:
AlignIns' code takes ``gamma**round``: its first round has 0.99 of the learning rate, here it has all of it.
"""

from fl_backdoor.core.types import Count, Ratio
from fl_backdoor.training.lr_schedules.base import LRSchedule


class Exponential(LRSchedule):
    """γ^t in the t-th round after the first with the full learning rate.

    Parameters
    ----------
    gamma
        γ.
    warmup_rounds, warmup_start
        See `LRSchedule`.
    """

    def __init__(
        self, *, gamma: Ratio = 0.99, warmup_rounds: Count = 0, warmup_start: Ratio | None = None
    ) -> None:
        super().__init__(warmup_rounds=warmup_rounds, warmup_start=warmup_start)
        self.gamma = gamma

    def full(self, server_round: int, num_rounds: int) -> float:
        """Return γ^t."""
        return float(self.gamma ** (server_round - self.first_full))
