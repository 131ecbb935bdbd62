"""Accuracy, backdoor success and detection. Imports `core`; `of_model` alone needs PyTorch."""

from typing import TYPE_CHECKING

from fl_backdoor.core.exports import exported

if TYPE_CHECKING:
    from fl_backdoor.metrics.backdoor import BackdoorFigures, backdoor_figures
    from fl_backdoor.metrics.by_class import (
        ClientAccuracy,
        class_accuracies,
        client_accuracies,
        client_accuracy,
    )
    from fl_backdoor.metrics.of_model import (
        attack_success_rate,
        evaluate_backdoor,
        robust_accuracy,
        success_rate,
    )

__all__ = [
    "BackdoorFigures",
    "ClientAccuracy",
    "attack_success_rate",
    "backdoor_figures",
    "class_accuracies",
    "client_accuracies",
    "client_accuracy",
    "evaluate_backdoor",
    "robust_accuracy",
    "success_rate",
]

_HOMES = {
    "fl_backdoor.metrics.backdoor": ("BackdoorFigures", "backdoor_figures"),
    "fl_backdoor.metrics.by_class": (
        "ClientAccuracy",
        "class_accuracies",
        "client_accuracies",
        "client_accuracy",
    ),
    "fl_backdoor.metrics.of_model": (
        "attack_success_rate",
        "evaluate_backdoor",
        "robust_accuracy",
        "success_rate",
    ),
}
"""Where each public name is at home; PyTorch is imported for those of a model alone."""

__getattr__ = exported(__name__, _HOMES)
