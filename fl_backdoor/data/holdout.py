"""Test images for a set that has none: a share of its training images is held back.

Of each class the same share is drawn, rounded down. Which ones they are is the same for every seed of a
run: all runs on a set are measured on the same images.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.seeding import Purpose, generator
from fl_backdoor.core.shares import share_of

KEY = "dataset.test_share"
SEED = 0

ADVICE = f"set {KEY}=0.2 to hold back a fifth of the training images"


def held_back(labels: Sequence[int] | NDArray[np.int64], share: float) -> NDArray[np.bool_]:
    """Return which of some samples are for testing, bool ``(n,)``.

    Parameters
    ----------
    labels
        Class of each sample.
    share
        How much of each class, in (0, 1).

    Raises
    ------
    ConfigError
        If no sample would be left to test or to train on.
    """
    known = np.asarray(labels, dtype=np.int64)
    chosen = np.zeros(len(known), dtype=np.bool_)
    for label in np.unique(known):
        rows = np.flatnonzero(known == label)
        drawn = generator(SEED, Purpose.TEST_SHARE, max(int(label), 0)).permutation(rows)
        chosen[drawn[: share_of(len(rows), share)]] = True
    if not chosen.any() or chosen.all():
        left = "test" if not chosen.any() else "train"
        raise ConfigError(KEY, share, f"leaves none of the {len(known)} images to {left} on")
    return chosen
