"""The run without attackers that a run's backdoor figures are compared with."""

from dataclasses import replace

from fl_backdoor.config.schema import ExperimentConfig
from fl_backdoor.data.contents import Contents
from fl_backdoor.runner.experiment_key import data_that_count, digest, settings_that_count

NEVER_HAPPENS = ("first_round", "last_round", "holds_target", "participation")


def clean_twin(config: ExperimentConfig) -> ExperimentConfig:
    """Return the same run without attackers; trigger and target stay, since they measure the floor."""
    nobody = replace(config.attack, num_malicious=0, alpha=0.0, boost_factor=1.0, every=1, disguise={})
    return replace(config, attack=nobody)


def clean_key(config: ExperimentConfig, contents: Contents | None = None) -> str:
    """Return a name, 16 hex digits, that is equal for runs that share their clean twin.

    What changes no figure is left out, and how an attack goes that never happens. The data count by their
    `contents` as in `experiment_key`.
    """
    plain = settings_that_count(clean_twin(config).to_dict()) | data_that_count(contents)
    attack = {name: value for name, value in plain["attack"].items() if name not in NEVER_HAPPENS}
    return digest(plain | {"attack": attack})
