"""Accuracy by class, and what follows for clients that have the classes in shares of their own.

No model is asked again: a client's accuracy is what the global model would come to on test samples dealt out
in the client's label shares.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Shares = NDArray[np.float64]
"""Numbers in [0, 1], NaN where there is nothing that they could be a share of."""


@dataclass(frozen=True)
class ClientAccuracy:
    """How well the global model serves clients, each by its own label shares; shares in [0, 1].

    Parameters
    ----------
    mean_client_accuracy
        Mean over clients, each counting the same.
    worst_tenth_client_accuracy
        Mean over the tenth of them, rounded up, that it serves worst.
    """

    mean_client_accuracy: float
    worst_tenth_client_accuracy: float


def class_accuracies(labels: NDArray[np.int64], predicted: NDArray[np.int64], num_classes: int) -> Shares:
    """Return the share of each class's samples that are classified correctly.

    Parameters
    ----------
    labels, predicted
        True and predicted classes, int64 ``(n,)``; `NO_CLASS` is a wrong prediction.
    num_classes
        How many classes there are.

    Returns
    -------
    float64 ``(num_classes,)``; NaN for a class without samples.
    """
    counts = np.bincount(labels, minlength=num_classes)
    right = np.bincount(labels[predicted == labels], minlength=num_classes)
    return _shares(right, counts)


def client_accuracies(by_class: Shares, label_counts: NDArray[np.int64]) -> Shares:
    """Return the accuracy on each client's label distribution.

    Parameters
    ----------
    by_class
        Accuracy of each class, float64 ``(n_classes,)``; a class that is NaN counts for nobody.
    label_counts
        Samples of each class that each client has, int64 ``(n_clients, n_classes)``.

    Returns
    -------
    float64 ``(n_clients,)``; NaN for a client that has samples of no class with a known accuracy.
    """
    known = ~np.isnan(by_class)
    counts = label_counts[:, known].astype(np.float64)
    right, totals = (counts * by_class[known]).sum(axis=1), counts.sum(axis=1)
    return _shares(right, totals)


def client_accuracy(accuracies: Shares) -> ClientAccuracy:
    """Sum up the accuracies of clients, float64 ``(n_clients,)``; those that are NaN are left out."""
    known = np.sort(accuracies[~np.isnan(accuracies)])
    if not len(known):
        return ClientAccuracy(math.nan, math.nan)
    worst = known[: -(-len(known) // 10)]
    return ClientAccuracy(float(known.mean()), float(worst.mean()))


def _shares(parts: NDArray[Any], wholes: NDArray[Any]) -> Shares:
    """Return the part of each whole, NaN where there is nothing."""
    found: Shares = np.full(len(wholes), np.nan)
    np.divide(parts, wholes, out=found, where=wholes > 0)
    return found
