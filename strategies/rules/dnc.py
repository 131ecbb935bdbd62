"""DnC: those are left out that lie farthest along the direction in which the updates differ most.

V. Shejwalkar and A. Houmansadr, Manipulating the Byzantine: Optimizing Model Poisoning Attacks and Defenses
for Federated Learning, NDSS 2021, "Divide-and-conquer": b coordinates are drawn at random; of the centred
updates on them v is the top right singular vector, and ⟨Δ_i - mean, v⟩² a client's outlier score; the c·f
highest are dropped. That is done several times, and those are averaged that were never dropped. The usual
settings are c = 1, one draw and b = 10,000. Deviations: of equal scores the lowest client id stays; if no
client is left, which several draws can come to, the model is kept.

It assumes f, and attackers that move together. Cost: the products of all pairs on b coordinates a draw.
"""

from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.seeding import Purpose, generator
from fl_backdoor.core.shares import share_of
from fl_backdoor.core.types import ClientMask, ClientVector, Count, PositiveCount, Ratio
from strategies.base import ClientUpdates, ServerContext
from strategies.chain.kinds import ChoiceStep
from strategies.chain.rows import Choice
from strategies.numerics.columns import summed
from strategies.robust_strategy import StrategyArguments
from strategies.rules.krum import fewest_clients, lowest, require_clients


def outlier_scores(rows: NDArray[np.float64]) -> ClientVector:
    """Return ⟨row_i - mean, v⟩², v being the centred rows' top right singular vector, ``(n_clients,)``."""
    centred = rows - rows.mean(axis=0)
    # Along v rows lie at u·s, u being the top left singular vector and s its value; of their products s² is
    # the largest eigenvalue, and u its vector. Clients are few: that is less work than all of the others.
    values, vectors = np.linalg.eigh(summed(lambda chunk: chunk @ chunk.T, centred))
    scores: ClientVector = vectors[:, -1] ** 2 * values[-1].clip(0)
    return scores


class DnC(ChoiceStep):
    """The mean over clients that are no outliers in any draw; the others are filtered and flagged.

    Parameters
    ----------
    num_malicious
        f, how many clients the defence takes for malicious; a round has at least 2f + 1 clients.
    num_iterations
        How many draws.
    num_coordinates
        b, coordinates in a draw; all of them, if the model has fewer.
    filtered_share
        c, in (0, 1]: how many of f are dropped in a draw.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    def __init__(
        self,
        *,
        num_malicious: Count = 3,
        num_iterations: PositiveCount = 1,
        num_coordinates: PositiveCount = 10_000,
        filtered_share: Ratio = 1.0,
        **flower: Unpack[StrategyArguments],
    ) -> None:
        super().__init__(**flower)
        self.num_malicious = num_malicious
        self.num_iterations = num_iterations
        self.num_coordinates = num_coordinates
        self.num_dropped = share_of(num_malicious, filtered_share)
        self.required_clients = fewest_clients(2, num_malicious, more=1)

    def prepare(self, server: ServerContext) -> None:
        """Refuse a server that asks too few clients a round; raises ConfigError."""
        require_clients(server, type(self).__name__, 2, self.num_malicious, more=1)
        super().prepare(server)

    def choose(self, clients: ClientUpdates) -> Choice:
        """Keep whom no draw drops."""
        keep = np.ones(len(clients.weights), dtype=np.bool_)
        for draw in range(self.num_iterations):
            keep &= self._kept(clients, draw)
        return Choice.of(keep=keep)

    def rows_after(self, count: int) -> int:
        """Return how many are left at least."""
        return count - self.num_dropped

    def _kept(self, clients: ClientUpdates, draw: int) -> ClientMask:
        num_params = clients.updates.shape[1]
        random = generator(
            self.server.seed, Purpose.SAMPLED_COORDINATES, clients.server_round, self.occurrence, draw
        )
        count = min(self.num_coordinates, num_params)
        columns = np.sort(random.choice(num_params, count, replace=False))
        scores = outlier_scores(clients.updates[:, columns].astype(np.float64))
        return lowest(scores, len(scores) - self.num_dropped)
