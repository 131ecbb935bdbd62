"""Which settings a run's figures depend on, and a short name for them."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from fl_backdoor.data.contents import Contents

BESIDE_THE_FIGURES = (
    *("engine", "clean_baseline", "outputs", "tracking"),
    *("resume", "jobs", "objective", "detection_bound", "hydra"),
)
"""Where a run goes on, what is done beside it and where its files are; how the command line was called."""

PLACES = ("root", "cache", "download")
"""Where a data set comes from; which one it is counts."""

WITHOUT_EFFECT = {"server": ("max_lost_rounds",)}
"""Settings, by group, that say when a run stops and nothing of what it comes to."""

LATER: dict[str, dict[str, object]] = {
    "dataset": {"test_share": None},
    "attack": {"holds_target": None, "participation": "sampled", "disguise": {}},
}
"""Settings that came later, by group, and at what they change nothing: older runs keep their names."""

ROOT = ("root_samples", "root_bias", "root_class")
"""Of the server: which training samples are its own. None of it counts where it has none."""


def settings_that_count(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that figures depend on, from a whole configuration as plain values."""
    kept = {key: value for key, value in plain.items() if key not in BESIDE_THE_FIGURES}
    kept["dataset"] = {key: value for key, value in plain["dataset"].items() if key not in PLACES}
    for group, names in WITHOUT_EFFECT.items():
        kept[group] = {key: value for key, value in plain[group].items() if key not in names}
    for group, later in LATER.items():
        kept[group] = {
            key: value for key, value in kept[group].items() if key not in later or value != later[key]
        }
    if not plain["server"].get("root_samples"):
        kept["server"] = {key: value for key, value in kept["server"].items() if key not in ROOT}
    return kept


def experiment_key(plain: Mapping[str, Any], contents: Contents | None = None) -> str:
    """Return 16 hex digits that are equal for runs with the same figures.

    Parameters
    ----------
    plain
        The whole configuration, as plain values.
    contents
        Which data they are made on; they count unless the data set's name says all.
    """
    return digest(settings_that_count(plain) | data_that_count(contents))


def data_that_count(contents: Contents | None) -> dict[str, str]:
    """Return what tells a run's data apart from others under the same settings; nothing where they do."""
    told = contents and contents.beside_the_name
    return {"contents": told} if told else {}


def digest(plain: Mapping[str, Any]) -> str:
    """Return 16 hex digits for plain values, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]
