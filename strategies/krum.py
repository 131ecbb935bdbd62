"""Krum: the one update that lies closest to its nearest neighbours.

P. Blanchard, E. M. El Mhamdi, R. Guerraoui and J. Stainer, Machine Learning with Adversaries: Byzantine
Tolerant Gradient Descent, NeurIPS 2017, https://arxiv.org/abs/1703.02757, section 4. Of equal scores the
lowest client id wins, as there. Deviation: updates of several local steps take the place of gradients.
"""

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.types import ClientMask, ClientVector, Count
from strategies.base import Aggregation, ClientUpdates, Federation, RobustStrategy, mean_of
from strategies.buffers import bounded_mean
from strategies.linear import Squares


def krum_scores(squared: Squares, num_malicious: int) -> ClientVector:
    """Return each client's sum of squared distances to its n - f - 2 nearest others, ``(n_clients,)``.

    Parameters
    ----------
    squared
        Squared distances, float64 ``(n_clients, n_clients)``.
    num_malicious
        f, at most n - 3.
    """
    others = squared.copy()
    np.fill_diagonal(others, np.inf)
    nearest = np.sort(others, axis=1)[:, : len(squared) - num_malicious - 2]
    scores: ClientVector = nearest.sum(axis=1)
    return scores


def lowest(scores: ClientVector, count: int) -> ClientMask:
    """Return which `count` scores are lowest; of equal ones the first."""
    mask = np.zeros(len(scores), dtype=np.bool_)
    mask[np.argsort(scores, kind="stable")[:count]] = True
    return mask


def fewest_clients(rule: str, factor: int, num_malicious: int, participants: int) -> int:
    """Return factor · f + 3, from where on a rule is proved to resist f clients.

    Raises
    ------
    ConfigError
        If a round has fewer participants.
    """
    required = factor * num_malicious + 3
    if participants < required:
        raise ConfigError(
            "strategy.num_malicious",
            num_malicious,
            f"{rule} needs at least {factor} * {num_malicious} + 3 = {required} clients a round,"
            f" clients_per_round is {participants}",
        )
    return required


class Krum(RobustStrategy):
    """The update with the lowest score; the others are filtered and flagged.

    Buffers are those of the selected client, moved into the range that is left of all clients' numbers
    without the f lowest and the f highest: whoever is selected for its parameters may lie about the others.
    So they lie in the range of honest values as long as no more than f clients lie.

    Parameters
    ----------
    federation
        What the server knows of the run.
    num_malicious
        f, how many clients the defence takes for malicious; a round has at least 2f + 3 clients.
    """

    num_to_select = 1

    def __init__(self, federation: Federation, *, num_malicious: Count = 3) -> None:
        participants = federation.participants_per_round
        self.required_clients = fewest_clients(type(self).__name__, 2, num_malicious, participants)
        super().__init__(federation)
        self.num_malicious = num_malicious

    def aggregate(self, clients: ClientUpdates) -> Aggregation:
        """Return the mean of the `num_to_select` updates with the lowest scores."""
        scores = krum_scores(clients.squared_distances, self.num_malicious)
        return mean_of(clients, keep=lowest(scores, self.num_to_select))

    def merge_buffers(self, values: NDArray[np.float64], aggregation: Aggregation) -> NDArray[np.float64]:
        """Return the mean of buffers over the selected, in the range of all without f at either end."""
        return bounded_mean(values, aggregation.weights, self.num_malicious)
