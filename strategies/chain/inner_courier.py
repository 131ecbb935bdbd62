"""The courier of a step: its chain's carries messages."""

from collections.abc import Iterable

from flwr.app import Message

from strategies.base import ServerContext
from strategies.courier import Courier, Received, TrainRequest


class InnerCourier(Courier):
    """Carries nothing."""

    def prepare(self, server: ServerContext) -> None:
        """Do nothing."""

    def ask(self, request: TrainRequest) -> Iterable[Message]:
        """Ask nobody."""
        return []

    def collect(self, server_round: int, replies: Iterable[Message]) -> Received:
        """Refuse: a step of a chain does not run by itself; raises RuntimeError."""
        raise RuntimeError("a step of a chain is asked for a round of its own")

    def close(self) -> None:
        """Do nothing."""
