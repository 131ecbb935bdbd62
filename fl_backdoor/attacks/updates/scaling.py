"""Scaling: what the client learnt, multiplied.

E. Bagdasaryan et al., How To Backdoor Federated Learning, AISTATS 2020, https://arxiv.org/abs/1807.00459,
section 4.2, equation 3 (model replacement); the article's "amplified" attack. The equation is about weights:
what BatchNorm counts and averages is sent as it is.
"""

import numpy as np

from fl_backdoor.attacks.knowledge import Knowledge
from fl_backdoor.attacks.updates.base import Manipulation
from fl_backdoor.core.types import ParameterVector, Positive


class Scaling(Manipulation):
    """Multiplies the update.

    Parameters
    ----------
    factor
        ``attack.boost_factor``, unless it is set by itself.
    """

    def __init__(self, *, factor: Positive) -> None:
        self.factor = factor

    def manipulated(self, update: ParameterVector, knowledge: Knowledge) -> ParameterVector:
        """Return the update times the factor."""
        return np.float32(self.factor) * update
