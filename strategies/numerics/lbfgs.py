"""Products with a Hessian that L-BFGS estimates from a few steps."""

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.layout import LARGEST
from fl_backdoor.core.types import ParameterVector
from strategies.numerics.columns import columnwise, summed

SINGULAR = 1e-10
"""Directions with a smaller share of the largest singular value add nothing but rounding."""


def hessian_product(
    steps: NDArray[np.float32], changes: NDArray[np.float32], direction: ParameterVector
) -> ParameterVector:
    """Return B·direction, B being what L-BFGS makes of H in changes = H·steps, float32 ``(n_params,)``.

    No coordinate is beyond ±`LARGEST`.

    R. H. Byrd, J. Nocedal and R. B. Schnabel, Representations of Quasi-Newton Matrices and Their Use in
    Limited Memory Methods, Mathematical Programming 63, 1994, the compact representation: with S and Y the
    last steps and changes, σ = ⟨y, s⟩ / ⟨s, s⟩ of the last of them, D the diagonal and L the strict lower
    triangle of SᵀY,

        B = σI - [σS Y] [[σSᵀS, L], [Lᵀ, -D]]⁻¹ [σSᵀ; Yᵀ]

    Parameters
    ----------
    steps, changes
        S and Y, a row each, float32 ``(n_steps, n_params)``, the last one last.
    direction
        float32 ``(n_params,)``.
    """
    vectors = np.concatenate([steps, changes, direction[None]])
    products = summed(lambda chunk: chunk @ chunk.T, vectors)
    s, y = slice(len(steps)), slice(len(steps), 2 * len(steps))
    length = products[s, s][-1, -1]
    if length == 0:
        return np.zeros_like(direction)
    mixed = products[s, y]
    scale = mixed[-1, -1] / length
    lower = np.tril(mixed, -1)
    matrix = np.block([[scale * products[s, s], lower], [lower.T, -np.diag(np.diag(mixed))]])
    along = np.concatenate([scale * products[s, -1], products[y, -1]])
    weights = np.linalg.lstsq(matrix, along, rcond=SINGULAR)[0]
    factors = np.concatenate([-scale * weights[s], -weights[y], [scale]])
    # After a change that is out of all proportion to its step, such as a huge attack's, it says nothing.
    return columnwise(lambda chunk: (factors @ chunk).clip(-LARGEST, LARGEST), vectors, dtype=np.float64)
