"""Which settings a run's metrics depend on: questions that the marks in the schema answer."""

import dataclasses
from collections.abc import Mapping
from functools import cache
from typing import Any

from fl_backdoor.config.attack import AttackConfig
from fl_backdoor.config.marks import Mark, along, marked, settings_of
from fl_backdoor.config.schema import CallConfig, ExperimentConfig
from fl_backdoor.config.selection import SelectionSettings
from fl_backdoor.config.start import FreshStart
from fl_backdoor.core.plugins import TARGET

OF_THE_CALL = ("hydra", *settings_of(CallConfig))
"""How the command line was called: no metric depends on any of it."""

SERVER_ONLY = marked(ExperimentConfig, Mark.SERVER_ONLY)
"""Plug-ins that no node ever builds; a server may have some that are not installed elsewhere."""


def settings_that_count(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that metrics depend on, from a whole configuration as plain values."""
    asked = {name: value for name, value in plain.items() if name not in OF_THE_CALL}
    return _that_count(asked, ExperimentConfig)


def _that_count(plain: dict[str, Any], group: type) -> dict[str, Any]:
    kept = dict(plain)
    for name, setting in settings_of(group).items():
        if name not in plain:
            continue
        kept[name] = setting.named(plain[name], plain)
        if not setting.counts(kept[name], plain):
            del kept[name]
        elif isinstance(kept.get(name), dict) and (inner := setting.group_of(kept[name])) is not None:
            kept[name] = _that_count(kept[name], inner)
            if not kept[name]:  # a group of settings none of which counts
                del kept[name]
    return kept


@cache
def changes_no_metric(key: str) -> bool:
    """Return whether no metric depends on the setting with this dotted key, whatever its value."""
    if key.partition(".")[0] in OF_THE_CALL:
        return True
    return any(Mark.BESIDE_THE_METRICS in setting.marks for setting in along(key, ExperimentConfig))


@cache
def changes_no_clean_metric(key: str) -> bool:
    """Return whether no metric of a run without attackers depends on it, as on trigger and poisoning."""
    return changes_no_metric(key) or any(setting.goes_by_attack for setting in along(key, ExperimentConfig))


def without_attack(config: ExperimentConfig) -> ExperimentConfig:
    """Return the same run without attackers; trigger and poisoning stay: they measure its metrics."""
    values = {
        name: mark.value
        for name, setting in settings_of(AttackConfig).items()
        for mark in setting.without_attack()
    }
    return dataclasses.replace(config, attack=dataclasses.replace(config.attack, **values))


def clean_run(config: ExperimentConfig, num_rounds: int) -> ExperimentConfig:
    """Return the run whose model others start from: no attack, no defence, otherwise the same settings."""
    return dataclasses.replace(
        without_attack(config),
        num_rounds=num_rounds,
        strategy={TARGET: "strategies.FedAvg"},
        server_optimizer={},
        start=FreshStart(),
        clean_baseline="known",
        keep_best=False,
        tracking={},
    )


def clean_settings_that_count(config: ExperimentConfig) -> dict[str, Any]:
    """Return the settings that the metrics of the same run without attackers depend on, as plain values."""
    plain = settings_that_count(without_attack(config).to_dict())
    for group, declared in (("attack", AttackConfig), ("selection", SelectionSettings)):
        idle = marked(declared, Mark.ONLY_UNDER_ATTACK)
        if group in plain:
            plain[group] = {name: value for name, value in plain[group].items() if name not in idle}
    return plain


def for_clients(config: ExperimentConfig) -> str:
    """Return the configuration as clients get it, one line of JSON: the model comes with each message."""
    untold: dict[str, Any] = {name: {} for name in SERVER_ONLY}
    return dataclasses.replace(config, start=FreshStart(), **untold).to_json()
