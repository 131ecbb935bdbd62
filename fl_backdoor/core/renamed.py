"""Import paths of plug-ins that have been renamed: runs that were made before keep their names.

The name of a run is a hash of its settings, import paths among them: it is made with the path that a plug-in
had first. A run's folder is read as if it had been made today.
"""

from collections.abc import Mapping
from typing import Any

from fl_backdoor.core.plugins import TARGET

FIRST_NAMES = {
    "strategies.Bulyan": "strategies.bulyan.Bulyan",
    "strategies.ClipAvg": "strategies.clip_avg.ClipAvg",
    "strategies.FedAvg": "strategies.fedavg.FedAvg",
    "strategies.Flame": "strategies.flame.Flame",
    "strategies.FlowerStrategy": "strategies.flower.FlowerStrategy",
    "strategies.Hybrid": "strategies.hybrid.Hybrid",
    "strategies.IQRFilter": "strategies.iqr_filter.IQRFilter",
    "strategies.Krum": "strategies.krum.Krum",
    "strategies.Median": "strategies.median.Median",
    "strategies.MultiKrum": "strategies.multi_krum.MultiKrum",
    "strategies.OracleFilter": "strategies.leave_out.LeaveOut",
    "strategies.PersistentDirection": "strategies.persistent_direction.PersistentDirection",
    "strategies.TrimmedMean": "strategies.trimmed_mean.TrimmedMean",
}
"""From today's path to the first one."""

TODAYS_NAMES = {first: today for today, first in FIRST_NAMES.items()}


def with_first_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings, nested or by dotted key, with the paths that plug-ins had first."""
    return {key: _renamed(key, value, FIRST_NAMES) for key, value in settings.items()}


def with_todays_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings, nested or by dotted key, with the paths that plug-ins have today."""
    return {key: _renamed(key, value, TODAYS_NAMES) for key, value in settings.items()}


def _renamed(key: str, value: Any, names: Mapping[str, str]) -> Any:  # noqa: ANN401 - plain values
    if isinstance(value, Mapping):
        return {inner: _renamed(inner, found, names) for inner, found in value.items()}
    if isinstance(value, list | tuple):
        return [_renamed(key, found, names) for found in value]
    is_path = key == TARGET or key.endswith(f".{TARGET}")
    return names.get(value, value) if is_path and isinstance(value, str) else value
