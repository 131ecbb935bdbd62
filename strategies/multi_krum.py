"""Multi-Krum: the mean of the updates that lie closest to their nearest neighbours.

P. Blanchard, E. M. El Mhamdi, R. Guerraoui and J. Stainer, Machine Learning with Adversaries: Byzantine
Tolerant Gradient Descent, NeurIPS 2017, https://arxiv.org/abs/1703.02757, section 5. Deviations: updates of
several local steps take the place of gradients; the mean is weighted if ``server.weighting`` says so.
"""

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.types import Count, PositiveCount
from strategies.base import Federation
from strategies.krum import Krum


class MultiKrum(Krum):
    """The mean of the updates with the lowest scores of Krum; the others are filtered and flagged.

    Buffers are averaged over the selected, each bounded as under Krum.

    Parameters
    ----------
    federation
        What the server knows of the run.
    num_malicious
        f, how many clients the defence takes for malicious; a round has at least 2f + 3 clients.
    num_to_select
        m, how many updates are averaged; 1 is Krum.
    """

    def __init__(
        self, federation: Federation, *, num_malicious: Count = 3, num_to_select: PositiveCount = 5
    ) -> None:
        super().__init__(federation, num_malicious=num_malicious)
        participants = federation.participants_per_round
        if num_to_select > participants:
            allowed = f"must be at most a round's clients, clients_per_round is {participants}"
            raise ConfigError("strategy.num_to_select", num_to_select, allowed)
        self.required_clients = max(self.required_clients, num_to_select)
        self.num_to_select = num_to_select
