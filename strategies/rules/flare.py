"""FLARE: clients count by how many others find their models' inner representations near their own.

N. Wang, Y. Xiao, Y. Chen, Y. Hu, W. Lou and Y. T. Hou, FLARE: Defending Federated Learning against Model
Poisoning Attacks via Latent Space Representations, AsiaCCS 2022, https://doi.org/10.1145/3488932.3497760.
Each client's model is shown the server's samples; what its last layer is given are its penultimate layer
representations (PLRs). The maximum mean discrepancy of two clients' PLRs,

    MMD²_u = mean_{a≠b} k(x_a, x_b) + mean_{a≠b} k(y_a, y_b) - 2 mean_{a,b} k(x_a, y_b),

tells how far apart they are, k(x, y) = exp(-‖x - y‖² / (2σ²)). Each client votes for the nearest half of the
others, and the weight of a client with c votes is exp(c / (τ c̄)) / Σ exp, c̄ being the mean of votes. As in
the authors' code τ = 1, and σ² is half the number of features, so that it grows with them.

Deviations: the authors' code shows samples of one class, here all of the server's are shown; negative
estimates of MMD² are not cut to 0, which would make all clients equal that are much alike; each of n clients
has (n - 1) // 2 votes, one more than in that code if n is odd; who is equally near shares what votes are
left. Updates are averaged as they are: against amplified ones `norm_clipping` belongs before it.

It assumes clean root samples, and that more than half of the clients are benign. All have weight, nobody is
filtered or flagged. A client's model has the global model's BatchNorm statistics: about its own it may lie.
Cost: a forward pass of m samples for each client, and n² products ``(m, width) x (width, m)``.
"""

from itertools import combinations
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.types import ClientVector, Positive
from strategies.base import ClientUpdates, ServerContext, local_models
from strategies.chain.kinds import ChoiceStep
from strategies.chain.rows import Choice
from strategies.numerics.threads import in_order
from strategies.robust_strategy import StrategyArguments

FEWEST_SAMPLES = 2

DIGITS = 12
"""Of a discrepancy; float64's roundings stay below."""

LARGEST = 1e30
"""What a feature that is no finite number is taken for."""


def discrepancies(features: NDArray[np.floating], kernel_width: float | None = None) -> NDArray[np.float64]:
    """Return MMD²_u between all pairs of clients, float64 ``(n_clients, n_clients)``, zeros on the diagonal.

    Parameters
    ----------
    features
        ``(n_clients, n_samples, width)``, of at least 2 samples.
    kernel_width
        σ; None: √(width / 2).
    """
    num_clients, num_samples, width = features.shape
    points = np.nan_to_num(features.astype(np.float64), nan=LARGEST, posinf=LARGEST, neginf=-LARGEST)
    slope = 1 / width if kernel_width is None else 1 / (2 * kernel_width**2)
    others = num_samples * (num_samples - 1)
    within = [(_kernel(one, one, slope).sum() - num_samples) / others for one in points]
    pairs = list(combinations(range(num_clients), 2))

    def between(pair: tuple[int, int]) -> float:
        first, second = pair
        return float(_kernel(points[first], points[second], slope).mean())

    found = np.zeros((num_clients, num_clients))
    for (first, second), mean in zip(pairs, in_order(between, pairs), strict=True):
        found[first, second] = found[second, first] = within[first] + within[second] - 2 * mean
    return found.round(DIGITS)


def votes(distances: NDArray[np.float64], count: int) -> ClientVector:
    """Return how many votes each client gets if each gives one to its `count` nearest others.

    Clients that are equally far share what votes are left for them.
    """
    received = np.zeros(len(distances))
    for client, row in enumerate(distances if count else ()):
        others = np.delete(np.arange(len(row)), client)
        farthest = np.partition(row[others], count - 1)[count - 1]
        nearer, equal = others[row[others] < farthest], others[row[others] == farthest]
        received[nearer] += 1
        received[equal] += (count - len(nearer)) / len(equal)
    return received


def _kernel(one: NDArray[np.float64], other: NDArray[np.float64], slope: float) -> NDArray[np.float64]:
    squares = np.vecdot(one, one)[:, None] + np.vecdot(other, other) - 2 * (one @ other.T)
    kernel: NDArray[np.float64] = np.exp(-slope * squares.clip(0))
    return kernel


class FLARE(ChoiceStep):
    """The mean of updates, weighted by the votes of those whose representations are alike.

    Parameters
    ----------
    temperature
        τ: the smaller, the more votes count.
    kernel_width
        σ of the Gaussian kernel; None: √(width / 2), for as many features.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    needs = "root data"

    def __init__(
        self,
        *,
        temperature: Positive = 1.0,
        kernel_width: Positive | None = None,
        **flower: Unpack[StrategyArguments],
    ) -> None:
        super().__init__(**flower)
        self.temperature = temperature
        self.kernel_width = kernel_width

    def prepare(self, server: ServerContext) -> None:
        """Refuse a server with a single sample, of which there are no pairs; raises ConfigError."""
        super().prepare(server)
        assert server.workbench is not None and server.workbench.root is not None  # `needs` says so
        count = len(server.workbench.root.labels)
        if count < FEWEST_SAMPLES:
            raise ConfigError("server.root_samples", count, "must be at least 2 under FLARE")

    def choose(self, clients: ClientUpdates) -> Choice:
        """Weigh clients by their votes."""
        count = (len(clients.weights) - 1) // 2
        received = votes(self._discrepancies(clients), count) if count else np.zeros_like(clients.weights)
        # Each has `count` votes: that is their mean as well.
        shares = received / (self.temperature * max(count, 1))
        return Choice(np.exp(shares - shares.max()), np.zeros(len(shares), dtype=np.bool_))

    def _discrepancies(self, clients: ClientUpdates) -> NDArray[np.float64]:
        workbench = self.server.workbench
        assert workbench is not None and workbench.root is not None  # `needs` says so
        models = local_models(clients, self.server.layout)
        features = np.stack([workbench.features(model, workbench.root.inputs) for model in models])
        return discrepancies(features, self.kernel_width)
