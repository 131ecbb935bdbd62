"""When a model has diverged: the one rule, from which all that is said of it follows.

A round has **diverged** if its model cannot be used or trained any more:

* a parameter or a buffer of the global model is not finite,
* or a test sample, clean or triggered, has logits that are not all finite,
* or the mean loss on clean test samples is not finite,
* or whoever took part replied with numbers that are not finite, so that the model stayed what it was.

The round's row says why, in its column ``diverged``. A run has diverged if its last round has. Figures of
such a model are no result: no mean, no verdict and no clean baseline rests on them.
"""

import math
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.types import NO_CLASS

NOT_FINITE = ("must be finite", "holds NaN, Inf or")
"""How `messages.check_claims` and `updates.Layout.check` word that a reply is refused for it. A worker may
have checked the reply: words are all that travels."""


def of_model(not_finite: str | None, predicted: Sequence[NDArray[np.int64]], test_loss: float) -> str | None:
    """Return why a global model has diverged; None: it has not.

    Parameters
    ----------
    not_finite
        Name of a tensor of the model that is not finite; None: all are.
    predicted
        Classes predicted on clean and on triggered test samples, each int64 ``(n,)``.
    test_loss
        Mean cross-entropy on clean test samples.
    """
    if not_finite is not None:
        return f"{not_finite} is not finite"
    classes = np.concatenate(predicted)
    lost = int((classes == NO_CLASS).sum())
    if lost:
        return f"{lost} of {len(classes)} predictions are not finite"
    return None if math.isfinite(test_loss) else "the test loss is not finite"


def of_replies(num_usable: int, refused: Collection[str]) -> str | None:
    """Return why nobody could train a model; None: somebody could, or failed for another reason.

    Parameters
    ----------
    num_usable
        Replies that could be used.
    refused
        Why the others could not.
    """
    all_diverged = refused and all(any(words in reason for words in NOT_FINITE) for reason in refused)
    if num_usable or not all_diverged:
        return None
    return f"no reply was finite: {len(refused)} of {len(refused)} refused"
