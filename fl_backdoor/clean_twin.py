"""The run without attackers that a run's backdoor figures are compared with."""

import hashlib
import json
from dataclasses import replace

from fl_backdoor.config import ExperimentConfig


def clean_twin(config: ExperimentConfig) -> ExperimentConfig:
    """Return the same run without attackers; trigger and target stay, since they measure the floor."""
    return replace(config, attack=replace(config.attack, num_malicious=0, alpha=0.0, boost_factor=1.0))


def clean_key(config: ExperimentConfig) -> str:
    """Return a name, 16 hex digits, that is equal for runs that share their clean twin.

    Whatever changes no figure is left out: the engine, where data lies, and how an attack goes that never
    happens.
    """
    plain = clean_twin(config).to_dict()
    for name in ("engine", "clean_baseline", "outputs"):
        del plain[name]
    for name in ("first_round", "last_round"):
        del plain["attack"][name]
    plain["dataset"] = plain["dataset"]["_target_"]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]
