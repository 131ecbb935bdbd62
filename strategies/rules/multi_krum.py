"""Multi-Krum: the mean of the updates that lie closest to their nearest neighbours.

P. Blanchard, E. M. El Mhamdi, R. Guerraoui and J. Stainer, Machine Learning with Adversaries: Byzantine
Tolerant Gradient Descent, NeurIPS 2017, https://arxiv.org/abs/1703.02757, section 5. Deviations: updates of
several local steps take the place of gradients; the mean is weighted if clients are.

It assumes at most f attackers among 2f + 3 clients or more. Cost: the distances of all pairs, one product of
``(n, d)`` with ``(d, n)``.
"""

from typing import Unpack

from fl_backdoor.core.types import Count, PositiveCount
from strategies.base import ServerContext
from strategies.robust_strategy import StrategyArguments
from strategies.rules.krum import Krum, require_selection


class MultiKrum(Krum):
    """The mean of the updates with the lowest scores of Krum; the others are filtered and flagged.

    Buffers are averaged over the selected, each bounded as under Krum.

    Parameters
    ----------
    num_malicious
        f, how many clients the defence takes for malicious; a round has at least 2f + 3 clients.
    num_to_select
        m, how many updates are averaged; 1 is Krum.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    def __init__(
        self,
        *,
        num_malicious: Count = 3,
        num_to_select: PositiveCount = 5,
        **flower: Unpack[StrategyArguments],
    ) -> None:
        super().__init__(num_malicious=num_malicious, **flower)
        self.required_clients = max(self.required_clients, num_to_select)
        self.num_to_select = num_to_select

    def prepare(self, server: ServerContext) -> None:
        """Refuse a server that asks too few clients a round; raises ConfigError."""
        require_selection(server, self.num_to_select)
        super().prepare(server)
