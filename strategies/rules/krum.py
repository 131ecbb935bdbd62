"""Krum: the one update that lies closest to its nearest neighbours.

P. Blanchard, E. M. El Mhamdi, R. Guerraoui and J. Stainer, Machine Learning with Adversaries: Byzantine
Tolerant Gradient Descent, NeurIPS 2017, https://arxiv.org/abs/1703.02757, section 4. Of equal scores the
lowest client id wins, as there. Deviation: updates of several local steps take the place of gradients.

It assumes at most f attackers among 2f + 3 clients or more. Cost: the distances of all pairs, one product of
``(n, d)`` with ``(d, n)``.
"""

from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.types import ClientMask, ClientVector, Count
from strategies.base import Aggregation, ClientUpdates, ServerContext
from strategies.chain.kinds import ChoiceStep
from strategies.chain.rows import Choice
from strategies.numerics.buffers import bounded_mean
from strategies.numerics.linear import Squares
from strategies.robust_strategy import StrategyArguments


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


def fewest_clients(factor: int, num_malicious: int, more: int = 3) -> int:
    """Return factor · f + `more`, from where on a rule is proved to resist f clients."""
    return factor * num_malicious + more


def require_clients(server: ServerContext, rule: str, factor: int, num_malicious: int, more: int = 3) -> None:
    """Refuse rounds that are known to have fewer than `fewest_clients`; raises ConfigError."""
    participants, required = server.participants_per_round, fewest_clients(factor, num_malicious, more)
    if participants is not None and participants < required:
        raise ConfigError(
            "strategy.num_malicious",
            num_malicious,
            f"{rule} needs at least {factor} * {num_malicious} + {more} = {required} clients a round,"
            f" clients_per_round is {participants}",
        )


def require_selection(server: ServerContext, num_to_select: int) -> None:
    """Refuse rounds that are known to have fewer clients than are to be selected; raises ConfigError."""
    participants = server.participants_per_round
    if participants is not None and participants < num_to_select:
        allowed = f"must be at most a round's clients, clients_per_round is {participants}"
        raise ConfigError("strategy.num_to_select", num_to_select, allowed)


class Krum(ChoiceStep):
    """The update with the lowest score; the others are filtered and flagged.

    Buffers are those of the selected client, moved into the range that is left of all clients' numbers
    without the f lowest and the f highest: whoever is selected for its parameters may lie about the others.
    So they lie in the range of honest values as long as no more than f clients lie.

    Parameters
    ----------
    num_malicious
        f, how many clients the defence takes for malicious; a round has at least 2f + 3 clients.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    num_to_select = 1

    def __init__(self, *, num_malicious: Count = 3, **flower: Unpack[StrategyArguments]) -> None:
        super().__init__(**flower)
        self.num_malicious = num_malicious
        self.required_clients = fewest_clients(2, num_malicious)

    def prepare(self, server: ServerContext) -> None:
        """Refuse a server that asks too few clients a round; raises ConfigError."""
        require_clients(server, type(self).__name__, 2, self.num_malicious)
        super().prepare(server)

    def choose(self, clients: ClientUpdates) -> Choice:
        """Keep the `num_to_select` clients with the lowest scores."""
        scores = krum_scores(clients.squared_distances, self.num_malicious)
        return Choice.of(keep=lowest(scores, self.num_to_select))

    def rows_after(self, count: int) -> int:
        """Return how many are selected."""
        return min(count, self.num_to_select)

    def merge_buffers(self, values: NDArray[np.float64], aggregation: Aggregation) -> NDArray[np.float64]:
        """Return the mean of buffers over the selected, in the range of all without f at either end."""
        return bounded_mean(values, aggregation.weights, self.num_malicious)
