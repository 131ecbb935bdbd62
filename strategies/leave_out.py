"""Named clients are left out: what the others reach by themselves.

No defence, since no server knows whom to name. With the attackers' ids it is what every defence is measured
by: the model that the benign clients alone train.
"""

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.types import Count
from strategies.base import (
    Aggregation,
    ClientUpdates,
    Federation,
    RobustStrategy,
    mean_of,
    nothing_of,
)
from strategies.buffers import weighted_mean


class LeaveOut(RobustStrategy):
    """The weighted mean over all clients but some, of updates and of buffers.

    Parameters
    ----------
    federation
        What the server knows of the run.
    client_ids
        Who is left out.

    Raises
    ------
    ConfigError
        If there is no such client.
    """

    def __init__(self, federation: Federation, *, client_ids: list[Count]) -> None:
        super().__init__(federation)
        num_clients = len(federation.partition_sizes)
        if any(client_id >= num_clients for client_id in client_ids):
            raise ConfigError("strategy.client_ids", client_ids, f"clients are 0 to {num_clients - 1}")
        self.client_ids = client_ids

    def aggregate(self, clients: ClientUpdates) -> Aggregation:
        """Return the mean over the others; of nobody's, if they take no part in this round."""
        keep = ~np.isin(clients.client_ids, self.client_ids)
        return mean_of(clients, keep) if keep.any() else nothing_of(clients)

    def merge_buffers(self, values: NDArray[np.float64], aggregation: Aggregation) -> NDArray[np.float64]:
        """Return the mean over the others; those who are left out have no weight."""
        return weighted_mean(values, aggregation.weights)
