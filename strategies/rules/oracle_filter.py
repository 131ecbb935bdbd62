"""An oracle filter: named clients are left out, and what the others reach by themselves is seen.

No defence, since no server knows whom to name. With the attackers' ids it is what every defence is measured
by: the model that the benign clients alone train.

It assumes that somebody names the attackers. Cost: one pass over the updates.
"""

from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.types import Count
from strategies.base import Aggregation, ClientUpdates, ServerContext
from strategies.chain.kinds import ChoiceStep
from strategies.chain.rows import Choice
from strategies.numerics.buffers import weighted_mean
from strategies.robust_strategy import StrategyArguments


class OracleFilter(ChoiceStep):
    """The weighted mean over all clients but some, of updates and of buffers.

    Parameters
    ----------
    client_ids
        Who is left out.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    knows_clients = True

    def __init__(self, *, client_ids: list[Count], **flower: Unpack[StrategyArguments]) -> None:
        super().__init__(**flower)
        self.client_ids = client_ids

    def prepare(self, server: ServerContext) -> None:
        """Refuse a client that the server is known not to have; raises ConfigError."""
        num_clients = len(server.partition_sizes)
        if num_clients and any(client_id >= num_clients for client_id in self.client_ids):
            raise ConfigError("strategy.client_ids", self.client_ids, f"clients are 0 to {num_clients - 1}")
        super().prepare(server)

    def choose(self, clients: ClientUpdates) -> Choice:
        """Keep the others; nobody, if they take no part in this round."""
        return Choice.of(keep=~np.isin(clients.client_ids, self.client_ids))

    def merge_buffers(self, values: NDArray[np.float64], aggregation: Aggregation) -> NDArray[np.float64]:
        """Return the mean over the others; those who are left out have no weight."""
        return weighted_mean(values, aggregation.weights)
