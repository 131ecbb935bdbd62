"""What clients have in common, and what each keeps doing, by what the server knows: much data or little.

Whoever has few samples sees them again in each round and soon learns nothing from them; whoever has many
keeps learning what all of those learn. Of samples that took part often the model knows more than of others.
Over rounds such clients share directions, as attackers share theirs. Numbers of samples and of rounds are
known, so that this can be taken out: similarities are products of persistent directions, and what a
regression of these directions on the logarithms of the numbers leaves has products of its own, which need
only the similarities.

Whoever goes through all its samples in each round is more like itself than who draws a few of many. Of n
samples whose pulls are independent two rounds that see B each have B²/n in common in the mean, and each round
is as long as B of them: a client is like itself by B/n, its coverage, which is known as well.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.types import ClientVector


@dataclass(frozen=True)
class Known:
    """What is known of clients.

    Parameters
    ----------
    numbers
        A column for each kind of number, such as samples, float64 ``(n_clients, n_kinds)``; at least 1, or it
        counts as 1.
    coverage
        Which share of its samples each goes through in a round, float64 ``(n_clients,)`` in (0, 1].
    """

    numbers: NDArray[np.float64]
    coverage: ClientVector

    def of(self, clients: NDArray[np.generic]) -> "Known":
        """Return what is known of some of them, by their indices or by a mask."""
        return Known(self.numbers[clients], self.coverage[clients])


UNLIKE = 0.3
"""Standard deviation of the logarithms of numbers from which on they explain more than half of their axis.
What differs by less than a third, as who joins late soon does from others, keeps most of what it shares."""


def unexplained(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what is left of each client's value by the others' values, a symmetric matrix.

    float64 ``(n_clients, n_clients)``: I - P with P = Z (ZᵀZ + n·`UNLIKE`² I)⁻¹ Zᵀ and Z the centred
    logarithms, the hat matrix of a ridge regression (A. E. Hoerl and R. W. Kennard, Technometrics 12, 1970,
    section 2).
    """
    logarithms = np.log(np.maximum(numbers, 1))
    z = logarithms - logarithms.mean(axis=0)
    num_clients, num_kinds = z.shape
    penalty = num_clients * UNLIKE**2 * np.eye(num_kinds)
    rest: NDArray[np.float64] = np.eye(num_clients) - z @ np.linalg.solve(z.T @ z + penalty, z.T)
    return rest


def apart_from(similar: NDArray[np.float64], known: Known, power: int) -> NDArray[np.float64]:
    """Return what is not explained of similarities; these themselves if clients do not differ.

    Parameters
    ----------
    similar
        Symmetric matrices, float64 ``(..., n_clients, n_clients)``.
    known
        In what clients are known to differ.
    power
        Of the products whose means these are: coverage counts as often.

    Returns
    -------
    float64 ``(..., n_clients, n_clients)``: (I - P) A (I - P) with I - P of `unexplained`. The diagonal, how
    much each client is like itself, is first divided by coverage, as a share of the largest, and then (I - P)
    times that.
    """
    rest = unexplained(known.numbers)
    coverage = (known.coverage / known.coverage.max()) ** power
    own = (np.diagonal(similar, axis1=-2, axis2=-1) / coverage) @ rest.T
    apart: NDArray[np.float64] = rest @ similar @ rest.T
    clients = np.arange(len(coverage))
    apart[..., clients, clients] = own
    return apart
