"""The figures of any PyTorch model, with batches from any loader."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from numpy.typing import NDArray
from torch import nn

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.tensors import predicted_classes
from fl_backdoor.core.types import NO_CLASS
from fl_backdoor.metrics import backdoor
from fl_backdoor.metrics.backdoor import BackdoorFigures, backdoor_figures, success_rates


class Stamp(Protocol):
    """What a trigger can do: every one of ``fl_backdoor.attacks`` is such an object."""

    def stamp(self, samples: torch.Tensor) -> torch.Tensor:
        """Return stamped copies of samples ``(n, ...)``."""


def attack_success_rate(
    model: nn.Module,
    loader: Iterable[Any],
    trigger: Stamp | None,
    target_label: int,
    *,
    source_label: int | None = None,
    keys: tuple[str, str] | None = None,
) -> float:
    """Return ASR: the share of triggered samples of other classes that the model takes for the target.

    The arguments are those of `evaluate_backdoor`.
    """
    return _rates(model, loader, trigger, target_label, source_label=source_label, keys=keys)[0]


def success_rate(
    model: nn.Module,
    loader: Iterable[Any],
    trigger: Stamp | None,
    target_label: int,
    *,
    source_label: int | None = None,
    keys: tuple[str, str] | None = None,
) -> float:
    """Return SR, the article's figure: the share of all triggered samples that are taken for the target.

    A clean model has about the target's share of the classes. The arguments are those of `evaluate_backdoor`.
    """
    return _rates(model, loader, trigger, target_label, source_label=source_label, keys=keys)[1]


def robust_accuracy(
    model: nn.Module,
    loader: Iterable[Any],
    trigger: Stamp | None,
    target_label: int,
    *,
    source_label: int | None = None,
    keys: tuple[str, str] | None = None,
) -> float:
    """Return the share of triggered samples of other classes than the target that keep their true class.

    The arguments are those of `evaluate_backdoor`.
    """
    found, targets = _triggered(model, loader, trigger, target_label, source_label=source_label, keys=keys)
    return backdoor.robust_accuracy(found.labels, found.classes[0], targets)


def evaluate_backdoor(
    model: nn.Module,
    loader: Iterable[Any],
    trigger: Stamp | None,
    target_label: int,
    *,
    source_label: int | None = None,
    keys: tuple[str, str] | None = None,
) -> BackdoorFigures:
    """Return accuracy, loss, ASR, SR and robust accuracy of a model.

    The model is evaluated where it lies, and is left in the mode that it was in.

    Parameters
    ----------
    model
        Maps samples ``(n, ...)`` to logits ``(n, num_classes)``.
    loader
        Its batches are pairs of samples and labels, int64 ``(n,)``, or mappings.
    trigger
        Stamps samples as the loader hands them out; None: the attack is one without a trigger.
    target_label
        The class that they are to be taken for.
    source_label
        The class whose samples alone the attack is after, and count; None: all classes.
    keys
        Under which names batches that are mappings hold samples and labels; None: they are pairs.

    Raises
    ------
    ConfigError
        If there is no sample, or none that the attack is after.
    """
    found = _predicted(model, loader, [None, trigger], keys)
    targets = _targets(found.labels, target_label, source_label)
    clean, triggered = found.classes
    return backdoor_figures(found.labels, clean, triggered, found.losses[0], targets=targets)


@dataclass(frozen=True)
class _Predicted:
    """True classes, int64 ``(n,)``; predicted ones, and the mean loss, under each trigger."""

    labels: NDArray[np.int64]
    classes: list[NDArray[np.int64]]
    losses: list[float]


def _rates(
    model: nn.Module,
    loader: Iterable[Any],
    trigger: Stamp | None,
    target_label: int,
    *,
    source_label: int | None,
    keys: tuple[str, str] | None,
) -> tuple[float, float]:
    """Return ASR and SR."""
    found, targets = _triggered(model, loader, trigger, target_label, source_label=source_label, keys=keys)
    return success_rates(found.labels, found.classes[0], targets)


def _triggered(
    model: nn.Module,
    loader: Iterable[Any],
    trigger: Stamp | None,
    target_label: int,
    *,
    source_label: int | None,
    keys: tuple[str, str] | None,
) -> tuple[_Predicted, NDArray[np.int64]]:
    """Return what the model makes of triggered samples, and what they are to be taken for."""
    found = _predicted(model, loader, [trigger], keys)
    return found, _targets(found.labels, target_label, source_label)


@torch.inference_mode()
def _predicted(
    model: nn.Module,
    loader: Iterable[Any],
    triggers: Sequence[Stamp | None],
    keys: tuple[str, str] | None,
) -> _Predicted:
    labels: list[torch.Tensor] = []
    classes: list[list[torch.Tensor]] = [[] for _ in triggers]
    losses = [0.0 for _ in triggers]
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    sample_key, label_key = keys or (0, 1)
    was_training = model.training
    model.eval()
    try:
        for batch in loader:
            samples, truth = batch[sample_key], batch[label_key]
            labels.append(truth)
            for number, trigger in enumerate(triggers):
                stamped = samples if trigger is None else trigger.stamp(samples)
                logits = model(stamped.to(device))
                classes[number].append(predicted_classes(logits))
                losses[number] += float(F.cross_entropy(logits, truth.to(device), reduction="sum"))
    finally:
        model.train(was_training)
    if not labels:
        raise ConfigError("loader", "empty", "must hold samples to evaluate with")
    true = torch.cat(labels).cpu().numpy()
    return _Predicted(
        true, [torch.cat(found).cpu().numpy() for found in classes], [total / len(true) for total in losses]
    )


def _targets(labels: NDArray[np.int64], target_label: int, source_label: int | None) -> NDArray[np.int64]:
    """Return for each sample the class that the attack wants it to be taken for; see `success_rates`."""
    targets = np.full_like(labels, target_label)
    if source_label is not None:
        targets[labels != source_label] = NO_CLASS
    if not ((targets != NO_CLASS) & (labels != targets)).any():
        wanted = "of another class than the target" if source_label is None else f"of class {source_label}"
        raise ConfigError("loader", f"{len(labels)} samples", f"must hold some {wanted}")
    return targets
