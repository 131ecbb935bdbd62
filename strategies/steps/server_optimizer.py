"""What optimisers of the server have in common: a round's movement of the model is a step's pseudo-gradient.

Δ is how far the model has moved from what clients were sent, by the rule and λ, and by whatever step came
before; with λ = 1 and no such step it is what the rule made of the updates. An optimiser puts the model where
its own movement leads from there. It remembers from round to round, also over a run that was cut off; a round
that keeps the model leaves its memory alone.

BatchNorm's buffers are no parameters and stay as the rule has merged them. Where they count as parameters
(``server.buffers=as_parameters``) they are moved as well, which no variance is safe from.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Unpack

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.types import ModelArrays, ParameterVector, Positive
from strategies.base import Aggregation, ClientUpdates
from strategies.chain.kinds import ModelStep
from strategies.robust_strategy import StrategyArguments

Memory = dict[str, NDArray[np.float32]]
"""By name, each float32 ``(n_params,)``; empty before the first round."""


class ServerOptimizer(ModelStep):
    """Moves the model by what it makes of the round's movement and of those before.

    Parameters
    ----------
    eta
        η, the server's learning rate in the paper.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    remembered: ClassVar[tuple[str, ...]]
    """Names in the memory."""

    def __init__(self, *, eta: Positive, **flower: Unpack[StrategyArguments]) -> None:
        super().__init__(**flower)
        self.eta = eta
        self.memory: Memory = {}

    @abstractmethod
    def after(self, movement: ParameterVector) -> tuple[Memory, ParameterVector]:
        """Return what is remembered from now on, in new arrays, and the movement in units of η.

        Parameters
        ----------
        movement
            Δ, float32 ``(n_params,)``.
        """

    def finish(self, model: ModelArrays, clients: ClientUpdates, aggregation: Aggregation) -> ModelArrays:
        """Return the model that clients were sent, moved by the optimiser; buffers as they are in `model`."""
        layout, sent = self.server.layout, clients.model
        # What diverges is infinite or NaN here as well, and the run says so.
        with np.errstate(over="ignore", invalid="ignore"):
            self.memory, moved = self.after(layout.vector(model) - layout.vector(sent))
            return layout.moved(sent, np.float32(self.eta) * moved, layout.buffers(model))

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return the memory."""
        return super().state() | dict(self.memory)

    def restore(self, server_round: int, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on with it."""
        super().restore(server_round, state)
        self.memory = {name: state[name].astype(np.float32) for name in self.remembered if name in state}

    def recalled(self, name: str, movement: ParameterVector, at_first: float = 0.0) -> ParameterVector:
        """Return what is remembered under a name; before the first round `at_first` in each coordinate."""
        return self.memory.get(name, np.full_like(movement, at_first))
