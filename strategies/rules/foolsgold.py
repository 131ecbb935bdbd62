"""FoolsGold: clients whose updates have pointed the same way over the rounds lose their say.

C. Fung, C. J. M. Yoon and I. Beschastnikh, The Limitations of Federated Learning in Sybil Settings, RAID
2020, https://arxiv.org/abs/1808.04866, algorithm 1. Of the sums of each client's updates, cs_ij is the
cosine and v_i = max_j cs_ij; where v_j > v_i, cs_ij is multiplied by v_i / v_j, which pardons a client that
others were made to resemble; α_i = 1 - max_j cs_ij is divided by its largest, and κ·(ln(α_i / (1 - α_i)) +
0.5) is cut to [0, 1].

Deviations: the paper adds up the weighted gradients of its clients, which then move the model by up to n
times a mean; here weights have the sum 1, so that a federation without sybils is FedAvg. Cosines that are
equal to six digits count as equal. If everybody is like everybody, which leaves the paper's α without a
largest one, all have the same weight. Who is like nobody, v_i ≤ 0, needs no pardon: the factor v_i / v_j
would be negative, and turn what is most unlike into what is most like. All parameters are compared, where
the authors' code takes those of the output layer.

What it assumes: benign clients differ, so not IID data, where they punish each other, and more than one
attacker. Cost: a product of ``(n, d)`` with ``(d, n)`` and the memory of a sum for each client that was ever
seen, n·d numbers, in the checkpoint as well.
"""

from collections.abc import Mapping
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.types import ClientVector, Positive, UpdateMatrix
from strategies.base import Aggregation, ClientUpdates
from strategies.numerics.cosines import cosine_distances
from strategies.numerics.linear import add_to_rows, norms, weighted_sum
from strategies.robust_strategy import RobustStrategy, StrategyArguments

SUMS, CLIENT_IDS = "sums", "client_ids"


def foolsgold_weights(cosines: NDArray[np.float64], confidence: float) -> ClientVector:
    """Return each client's learning rate of algorithm 1, in [0, 1], float64 ``(n_clients,)``.

    Parameters
    ----------
    cosines
        cs, float64 ``(n_clients, n_clients)``; the diagonal plays no part.
    confidence
        κ.
    """
    if len(cosines) == 1:
        return np.ones(1)
    similar = cosines.copy()
    np.fill_diagonal(similar, -np.inf)
    most = similar.max(axis=1)
    pardons = (most[None, :] > most[:, None]) & (most[:, None] > 0)
    factors = np.divide(most[:, None], most[None, :], out=np.ones_like(similar), where=pardons)
    pardoned = similar * factors
    np.fill_diagonal(pardoned, -np.inf)
    trusted = np.clip(1 - pardoned.max(axis=1), 0, 1)
    if not trusted.any():
        return np.ones_like(trusted)
    trusted /= trusted.max()
    with np.errstate(divide="ignore"):
        logits = np.log(trusted) - np.log1p(-trusted)
    rates: ClientVector = np.clip(confidence * (logits + 0.5), 0, 1)
    return rates


class FoolsGold(RobustStrategy):
    """The mean of the updates, clients that resemble each other weighing little.

    Who has no weight at all is filtered and flagged.

    Parameters
    ----------
    confidence
        κ: how sharply clients are told apart.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    knows_clients = True

    def __init__(self, *, confidence: Positive = 1.0, **flower: Unpack[StrategyArguments]) -> None:
        super().__init__(**flower)
        self.confidence = confidence
        self._client_ids = np.zeros(0, dtype=np.int64)
        self._sums: UpdateMatrix = np.zeros((0, 0), dtype=np.float32)

    def aggregate(self, clients: ClientUpdates) -> Aggregation:
        """Return the mean under the weights that the clients' histories give them."""
        history = self._remembered(clients)
        cosines = 1 - cosine_distances(history, norms(history))
        weights = clients.weights * foolsgold_weights(cosines, self.confidence)
        weights /= weights.sum()
        return Aggregation(
            update=weighted_sum(weights, clients.updates),
            weights=weights,
            clip_coefficients=np.ones_like(weights),
            filtered=weights == 0,
            flagged=weights == 0,
        )

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return the sum of each client's updates."""
        if not len(self._sums):
            return super().state()
        return super().state() | {CLIENT_IDS: self._client_ids, SUMS: self._sums.copy()}

    def restore(self, server_round: int, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Take the sums back."""
        super().restore(server_round, state)
        if SUMS in state:
            self._client_ids = state[CLIENT_IDS].astype(np.int64)
            self._sums = state[SUMS].astype(np.float32)

    def _remembered(self, clients: ClientUpdates) -> UpdateMatrix:
        """Add the round's updates to the clients' sums, and return these, ``(n_clients, n_params)``."""
        new = np.setdiff1d(clients.client_ids, self._client_ids)
        if len(new):
            nothing = np.zeros((len(new), clients.updates.shape[1]), dtype=np.float32)
            self._sums = np.concatenate([self._sums, nothing]) if len(self._sums) else nothing
            self._client_ids = np.concatenate([self._client_ids, new])
        order = np.argsort(self._client_ids)
        rows = order[np.searchsorted(self._client_ids, clients.client_ids, sorter=order)]
        add_to_rows(self._sums, rows, clients.updates)
        everybody = np.array_equal(rows, np.arange(len(self._sums)))
        return self._sums if everybody else self._sums[rows]
