"""Rules that mix clients coordinate by coordinate, so that no client has a weight."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.types import ClientMask, ParameterVector
from strategies.base import Aggregation, ServerContext, require_equal_weighting
from strategies.robust_strategy import RobustStrategy

SortedChunk = NDArray[Any]
"""Some columns of some updates, float32 ``(n_rows, n_columns)``, each column ascending."""


class CoordinateRule(RobustStrategy):
    """A strategy under which all clients count the same."""

    def prepare(self, server: ServerContext) -> None:
        """Refuse a server that weighs clients; raises ConfigError."""
        require_equal_weighting(server, type(self).__name__)
        super().prepare(server)


def mixed(update: ParameterVector, left_out: ClientMask) -> Aggregation:
    """Return an aggregation without weights, in which some clients may have been left out and flagged."""
    return Aggregation(
        update=update,
        weights=np.where(left_out, 0, np.nan),
        clip_coefficients=np.ones(len(left_out)),
        filtered=left_out,
        flagged=left_out,
    )


def in_the_middle(chunk: SortedChunk) -> NDArray[np.float32]:
    """Return the median of each column; of an even number of rows the mean of the two in the middle."""
    count = len(chunk)
    middle: NDArray[np.float32] = (chunk[(count - 1) // 2] + chunk[count // 2]) / 2
    return middle
