"""Sparsification: of each update its largest coordinates, and zeros elsewhere.

J. Xu, Z. Zhang and R. Hu, Achieving Byzantine-Resilient Federated Learning via Layer-Adaptive Sparsified
Model Aggregation, WACV 2025, https://arxiv.org/abs/2409.01435, sparsifies updates before they are compared:
the larger part of their coordinates carries noise in which manipulations hide. Here it is a step by itself,
before any rule. Of coordinates with the same magnitude the first stay. Deviation: the whole update is one
vector, whatever its layers.

Cost: a selection for each client, and a new matrix.
"""

from typing import Unpack

import numpy as np

from fl_backdoor.core.shares import share_of
from fl_backdoor.core.types import Ratio, UpdateMatrix
from strategies.base import ClientUpdates
from strategies.chain.kinds import UpdateStep
from strategies.chain.rows import Change
from strategies.numerics.largest import are_largest
from strategies.numerics.threads import in_order
from strategies.robust_strategy import StrategyArguments


class Sparsification(UpdateStep):
    """Updates with few coordinates that are not zero; nobody is flagged.

    Parameters
    ----------
    kept_share
        Share of the coordinates that stays, in (0, 1].
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    def __init__(self, *, kept_share: Ratio = 0.3, **flower: Unpack[StrategyArguments]) -> None:
        super().__init__(**flower)
        self.kept_share = kept_share

    def change(self, clients: ClientUpdates) -> Change:
        """Keep each update's largest coordinates, at least one."""
        return Change(updates=self._sparse(clients.updates))

    def _sparse(self, updates: UpdateMatrix) -> UpdateMatrix:
        count = max(share_of(updates.shape[1], self.kept_share), 1)
        sparse = np.zeros_like(updates)

        def keep(row: int) -> None:
            np.copyto(sparse[row], updates[row], where=are_largest(updates[row], count))

        for _ in in_order(keep, range(len(updates))):
            pass
        return sparse
