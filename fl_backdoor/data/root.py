"""Which training samples the server keeps for itself, before the rest is dealt out to the clients.

X. Cao, M. Fang, J. Liu and N. Z. Gong, FLTrust: Byzantine-robust Federated Learning via Trust Bootstrapping,
NDSS 2021, https://arxiv.org/abs/2012.13995, section VI-A: about 100 samples, drawn from the training data at
random (case I), or with a bias probability towards one class (case II).
"""

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.shares import share_of


def draw_root(
    labels: NDArray[np.int64], count: int, random: np.random.Generator, bias: float | None, bias_class: int
) -> NDArray[np.int64]:
    """Draw the server's samples without replacement.

    Parameters
    ----------
    labels
        Classes of all training samples, int64 ``(n,)``.
    count
        How many are drawn, at most n.
    random
        What they are drawn with.
    bias
        The share in [0, 1] of them that is of `bias_class`; the others are of the other classes, at random.
        None: all at random.
    bias_class
        The class that a biased set has most of.

    Returns
    -------
    rows
        int64 ``(count,)``, ascending.

    Raises
    ------
    ConfigError
        If there are too few samples of the class, or of the others.
    """
    if bias is None:
        return np.sort(random.choice(len(labels), count, replace=False))
    of_class, others = np.flatnonzero(labels == bias_class), np.flatnonzero(labels != bias_class)
    num_of_class = share_of(count, bias)
    for wanted, found, which in (
        (num_of_class, of_class, f"of class {bias_class}"),
        (count - num_of_class, others, f"of other classes than {bias_class}"),
    ):
        if wanted > len(found):
            raise ConfigError(
                "server.root_bias",
                bias,
                f"asks for {wanted} training samples {which}, there are {len(found)}",
            )
    drawn = [
        random.choice(of_class, num_of_class, replace=False),
        random.choice(others, count - num_of_class, replace=False),
    ]
    return np.sort(np.concatenate(drawn))
