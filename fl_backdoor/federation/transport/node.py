"""The worker's end of the exchange."""

from abc import ABC, abstractmethod

from fl_backdoor.core.layout import Layout
from fl_backdoor.core.types import ModelArrays
from fl_backdoor.federation.transport.shared_round import SharedRound


class NodeExchange(ABC):
    """Where a client of this node finds the global model and leaves its own."""

    model: ModelArrays
    """The global model, in ``state_dict`` order; read-only."""

    @abstractmethod
    def deliver(self, local: ModelArrays, row: int) -> ModelArrays:
        """Hand in a local model; return what of it the reply is to carry.

        Raises
        ------
        ReplyError
            If it is not a finite state of this model.
        """


class InMessages(NodeExchange):
    """The model came in the message, and the local one goes back in the reply.

    Parameters
    ----------
    model
        As it came.
    """

    def __init__(self, model: ModelArrays) -> None:
        self.model = model

    def deliver(self, local: ModelArrays, row: int) -> ModelArrays:
        """Return the local model whole; the server checks it."""
        return local


class InSharedMemory(NodeExchange):
    """Model and updates lie in memory shared with the server.

    Parameters
    ----------
    shared_round
        The server's.
    layout
        The model's tensors.
    """

    def __init__(self, shared_round: SharedRound, layout: Layout) -> None:
        self.model = shared_round.model
        self._updates = shared_round.updates
        self._layout = layout

    def deliver(self, local: ModelArrays, row: int) -> ModelArrays:
        """Write the update into its row; return the buffers, which are no part of it."""
        self._layout.write_update(local, self.model, self._updates[row])
        return self._layout.buffers(local)
