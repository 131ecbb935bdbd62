"""What clients have in common because they have much data, or little.

Whoever has few samples sees them again in each round and soon learns nothing from them; whoever has many
keeps learning what all of those learn. Over rounds that is a direction that clients of like size share, as
attackers share theirs. How many samples a client has is known, so that this can be taken out: similarities
are products of persistent directions, and what a regression of these directions on the logarithms of sizes
leaves has products of its own, which need only the similarities.
"""

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.types import ClientVector

UNLIKE = 0.1
"""Standard deviation of the logarithms of sizes from which on they explain more than half of their axis.
Sizes that differ by one sample explain nothing."""


def apart_from_sizes(similar: NDArray[np.float64], sizes: ClientVector) -> NDArray[np.float64]:
    """Return what sizes do not explain of similarities; these themselves if sizes are all the same.

    Parameters
    ----------
    similar
        Symmetric matrices, float64 ``(..., n_clients, n_clients)``.
    sizes
        Numbers of samples, ``(n_clients,)``; less than 1 counts as 1.

    Returns
    -------
    float64 ``(..., n_clients, n_clients)``: (I - P) A (I - P) with P = z zᵀ / (zᵀz + n·`UNLIKE`²) and z the
    centred logarithms of sizes, the hat matrix of a ridge regression (A. E. Hoerl and R. W. Kennard,
    Technometrics 12, 1970, section 2). The diagonal, how much each client is like itself, is (I - P) times
    itself.
    """
    logarithms = np.log(np.maximum(np.asarray(sizes, dtype=np.float64), 1))
    z = logarithms - logarithms.mean()
    num_clients = len(z)
    rest = np.eye(num_clients) - np.outer(z, z) / (z @ z + num_clients * UNLIKE**2)
    own = np.diagonal(similar, axis1=-2, axis2=-1) @ rest
    apart: NDArray[np.float64] = rest @ similar @ rest
    places = np.arange(num_clients)
    apart[..., places, places] = own
    return apart
