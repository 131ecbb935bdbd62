"""How good a model is at its main task, and how well its backdoor opens."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class BackdoorFigures:
    """Shares in [0, 1] over the full test set.

    Parameters
    ----------
    main_task_accuracy
        Correct predictions on clean samples.
    test_loss
        Mean cross-entropy on clean samples.
    attack_success_rate
        ASR: share of triggered samples *whose true class is not the target* that are predicted as the target.
    success_rate
        SR, the article's figure: share of *all* triggered samples predicted as the target. A clean model
        has about the target's share of the classes, since it recognises the target through the trigger.
    """

    main_task_accuracy: float
    test_loss: float
    attack_success_rate: float
    success_rate: float


def backdoor_figures(
    labels: NDArray[np.int64],
    clean: NDArray[np.int64],
    triggered: NDArray[np.int64],
    test_loss: float,
    target_label: int,
) -> BackdoorFigures:
    """Work out the figures from predicted classes.

    Parameters
    ----------
    labels, clean, triggered
        True classes, and those predicted on clean and on triggered samples, int64 ``(n,)``; one that is
        `NO_CLASS` is neither right nor the target.
    test_loss
        Mean cross-entropy on clean samples.
    target_label
        The class that the backdoor leads to.
    """
    hit = triggered == target_label
    return BackdoorFigures(
        main_task_accuracy=float(np.mean(clean == labels)),
        test_loss=test_loss,
        attack_success_rate=float(np.mean(hit[labels != target_label])),
        success_rate=float(np.mean(hit)),
    )
