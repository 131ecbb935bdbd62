"""Imitation of a benign client: the malicious part is a share of the update, the rest is honest work."""

import numpy as np

from fl_backdoor.attacks.knowledge import Knowledge
from fl_backdoor.attacks.updates.base import Manipulation
from fl_backdoor.core.types import ParameterVector, Ratio


class Imitation(Manipulation):
    """Mixes the update with the one that the client's clean samples give.

    Parameters
    ----------
    share
        Of the malicious update; 1 leaves it as it is.
    """

    def __init__(self, *, share: Ratio = 0.5) -> None:
        self.share = share

    def manipulated(self, update: ParameterVector, knowledge: Knowledge) -> ParameterVector:
        """Return the mixture."""
        honest = knowledge.honest()
        return honest + np.float32(self.share) * (update - honest)
