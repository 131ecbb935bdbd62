"""What every manipulation of an update is."""

from abc import ABC, abstractmethod
from typing import ClassVar

from fl_backdoor.attacks.knowledge import Knowledge
from fl_backdoor.core.types import ParameterVector


class Manipulation(ABC):
    """A change of the update that a malicious client sends in the rounds in which it attacks.

    Buffers and counters are sent as they were trained.
    """

    needs_previous_model: ClassVar[bool] = False
    """Whether it asks for `Knowledge.last_movement`: the model before travels with the messages then."""

    @abstractmethod
    def manipulated(self, update: ParameterVector, knowledge: Knowledge) -> ParameterVector:
        """Return what is sent instead of `update`, both float32 ``(n_params,)``; `update` is left alone."""
