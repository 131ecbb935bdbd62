"""A rule with a memory, for drills in which it must survive."""

from collections.abc import Mapping
from typing import Unpack

import numpy as np

from strategies import Aggregation, ClientUpdates, RobustStrategy, StrategyArguments, mean_of


class Remembering(RobustStrategy):
    """The mean, moved by what all rounds before added up to."""

    def __init__(self, **flower: Unpack[StrategyArguments]) -> None:
        super().__init__(**flower)
        self.total: np.ndarray = np.zeros(1)

    def aggregate(self, clients: ClientUpdates) -> Aggregation:
        plain = mean_of(clients, keep=np.ones(len(clients.weights), dtype=np.bool_))
        self.total = self.total + plain.update
        plain.update[:] += np.float32(0.1) * self.total.astype(np.float32)
        return plain

    def state(self) -> dict[str, np.ndarray]:
        return super().state() | {"total": self.total}

    def restore(self, server_round: int, state: Mapping[str, np.ndarray]) -> None:
        super().restore(server_round, state)
        self.total = state["total"]
