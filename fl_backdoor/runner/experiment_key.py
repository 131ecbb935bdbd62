"""A short name for the settings and data that a run's metrics depend on."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from fl_backdoor.config.metric_settings import clean_run, clean_settings_that_count, settings_that_count
from fl_backdoor.config.schema import ExperimentConfig
from fl_backdoor.core.renamed import with_first_names
from fl_backdoor.data.contents import Contents


def experiment_key(plain: Mapping[str, Any], contents: Contents | None = None) -> str:
    """Return 16 hex digits that are equal for runs with the same metrics.

    Parameters
    ----------
    plain
        The whole configuration, as plain values.
    contents
        Which data they are made on; they count unless the data set's name says all.
    """
    return _digest(settings_that_count(plain), contents)


def clean_key(config: ExperimentConfig, contents: Contents | None = None) -> str:
    """Return a name, 16 hex digits, that is equal for runs that share their clean baseline.

    The data count by their `contents` as in `experiment_key`.
    """
    return _digest(clean_settings_that_count(config), contents)


def start_key(config: ExperimentConfig, num_rounds: int, contents: Contents | None = None) -> str:
    """Return a name, 16 hex digits, that is equal for runs that start from the same clean model.

    Parameters
    ----------
    config
        One of these runs. What its attack is, the trigger included, changes nothing in a model without one.
    num_rounds
        Rounds of the clean run.
    contents
        Which data it is made on.
    """
    settings = clean_settings_that_count(clean_run(config, num_rounds))
    return _digest({name: value for name, value in settings.items() if name != "attack"}, contents)


def _digest(settings: dict[str, Any], contents: Contents | None) -> str:
    """Return 16 hex digits for plain values and data, whatever the order of the keys."""
    if contents is not None and contents.beside_the_name is not None:
        settings = settings | {"contents": contents.beside_the_name}
    return hashlib.sha256(json.dumps(with_first_names(settings), sort_keys=True).encode()).hexdigest()[:16]
