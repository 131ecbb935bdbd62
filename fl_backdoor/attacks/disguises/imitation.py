"""Imitation of a benign client: the malicious part is a share of the update, the rest is honest work."""

import numpy as np

from fl_backdoor.attacks.disguises.base import Attempt, Disguise
from fl_backdoor.core.types import ParameterVector, Ratio


class Imitation(Disguise):
    """Mixes the update with the one that the client's clean samples give.

    Parameters
    ----------
    share
        Of the malicious update; 1 is no disguise.
    """

    def __init__(self, *, share: Ratio = 0.5) -> None:
        self.share = share

    def disguised(self, attempt: Attempt) -> ParameterVector:
        """Return the mixture."""
        honest = attempt.honest()
        return honest + np.float32(self.share) * (attempt.update - honest)
