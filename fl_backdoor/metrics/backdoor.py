"""How good a model is at its main task, and how well its backdoor opens."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.types import NO_CLASS


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
        ASR: share of triggered samples *whose true class is not their target* that are predicted as the
        target.
    success_rate
        SR, the article's figure: share of *all* triggered samples predicted as their target. A clean model
        has about the target's share of the classes, since it recognises the target through the trigger.
    robust_accuracy
        Share of the triggered samples that ASR counts that are predicted as their true class: with ASR at
        most 1. As in T. Huang et al., Lockdown, NeurIPS 2023, and J. Xu et al., AlignIns, CVPR 2025.
    """

    main_task_accuracy: float
    test_loss: float
    attack_success_rate: float
    success_rate: float
    robust_accuracy: float


def backdoor_figures(
    labels: NDArray[np.int64],
    clean: NDArray[np.int64],
    triggered: NDArray[np.int64],
    test_loss: float,
    *,
    targets: NDArray[np.int64],
) -> BackdoorFigures:
    """Work out the figures from predicted classes.

    Parameters
    ----------
    labels, clean, triggered
        True classes, and those predicted on clean and on triggered samples, int64 ``(n,)``; one that is
        `NO_CLASS` is neither right nor the target.
    test_loss
        Mean cross-entropy on clean samples.
    targets
        For each sample the class that the attack wants it to be taken for, int64 ``(n,)``; `NO_CLASS`: none,
        and it does not count for ASR and SR.
    """
    attack_success_rate, success_rate = success_rates(labels, triggered, targets)
    return BackdoorFigures(
        main_task_accuracy=float(np.mean(clean == labels)),
        test_loss=test_loss,
        attack_success_rate=attack_success_rate,
        success_rate=success_rate,
        robust_accuracy=robust_accuracy(labels, triggered, targets),
    )


def success_rates(
    labels: NDArray[np.int64], triggered: NDArray[np.int64], targets: NDArray[np.int64]
) -> tuple[float, float]:
    """Return ASR and SR; see `BackdoorFigures` and, for the arguments, `backdoor_figures`."""
    counts, hit = targets != NO_CLASS, triggered == targets
    return float(np.mean(hit[counts & (labels != targets)])), float(np.mean(hit[counts]))


def robust_accuracy(
    labels: NDArray[np.int64], triggered: NDArray[np.int64], targets: NDArray[np.int64]
) -> float:
    """Return the robust accuracy; see `BackdoorFigures` and, for the arguments, `backdoor_figures`."""
    counts = (targets != NO_CLASS) & (labels != targets)
    return float(np.mean((triggered == labels)[counts]))
