"""Amplified update: what the client learnt, multiplied.

E. Bagdasaryan et al., How To Backdoor Federated Learning, AISTATS 2020, https://arxiv.org/abs/1807.00459,
section 4.2, equation 3 (model replacement); the article's "amplified" attack. The equation is about weights:
what BatchNorm counts and averages is sent as it is.
"""

from collections.abc import Sequence

import numpy as np

from fl_backdoor.core.layout import Layout
from fl_backdoor.core.types import ModelArrays


def boost(
    layout: Layout, before: Sequence[np.ndarray], after: Sequence[np.ndarray], factor: float
) -> ModelArrays:
    """Return ``before + factor * (after - before)`` for parameters; buffers and counters are as in `after`.

    A factor of 1 returns `after` itself, bit for bit.

    Parameters
    ----------
    layout
        Which tensors are parameters; counters never are, whatever it says.
    before, after
        States, in the layout's order.
    factor
        Positive.
    """
    if factor == 1:
        return list(after)
    return [
        _boosted(old, new, factor) if tensor.is_parameter else new
        for tensor, old, new in zip(layout.tensors, before, after, strict=True)
    ]


def _boosted(old: np.ndarray, new: np.ndarray, factor: float) -> np.ndarray:
    if not np.issubdtype(new.dtype, np.floating):
        return new
    boosted: np.ndarray = (old + factor * (new - old)).astype(new.dtype)
    return boosted
