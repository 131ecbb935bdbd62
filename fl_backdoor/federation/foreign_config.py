"""A configuration from another machine: it may call only what is installed here for that purpose.

A configuration names classes and functions, and what to call them with. The user at the keyboard may name
any; whoever speaks for a server must not, or a node would do whatever any installed function can do, such
as `os.system`. A node therefore builds the plug-ins that its own installation has a YAML file for, and no
others. Folders are a machine's own as well.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml

from fl_backdoor.config.dataset import DatasetSettings
from fl_backdoor.config.marks import Mark, marked
from fl_backdoor.config.metric_settings import SERVER_ONLY
from fl_backdoor.config.schema import ExperimentConfig
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.plugins import TARGET


def accept(config: ExperimentConfig) -> ExperimentConfig:
    """Return the configuration of somebody else's run with this machine's default folders.

    Raises
    ------
    ConfigError
        If it names a plug-in for which no YAML file is installed here, or data outside this machine's folder.
    """
    plain = {key: value for key, value in config.to_dict().items() if key not in SERVER_ONLY}
    for key, target in _targets(plain):
        if str(target) not in installed_plugins():
            allowed = "not installed on this node: it takes plug-ins that have a YAML file in its own conf/"
            raise ConfigError(key, target, allowed)
    _refuse_other_folders(config.dataset)
    own_folders = dict.fromkeys(marked(DatasetSettings, Mark.OWN_FOLDER))
    return replace(config, dataset={**config.dataset, **own_folders})


def _refuse_other_folders(dataset: Mapping[str, Any]) -> None:
    for key in marked(DatasetSettings, Mark.INSIDE_ROOT):
        named = Path(str(dataset.get(key) or "")).expanduser()
        if named.is_absolute() or ".." in named.parts:
            raise ConfigError(f"dataset.{key}", dataset[key], "must lie in this node's own folder with data")


@cache
def installed_plugins() -> frozenset[str]:
    """Return the import paths of all plug-ins in this installation's YAML files, but for the server's own."""
    groups = (group for group in resources.files("conf").iterdir() if group.name not in SERVER_ONLY)
    contents = (yaml.safe_load(file.read_text(encoding="utf-8")) for group in groups for file in _yaml(group))
    return frozenset(target for content in contents for _, target in _targets(content))


def _yaml(path: Traversable) -> Iterator[Traversable]:
    if path.is_dir():
        for inner in path.iterdir():
            yield from _yaml(inner)
    elif path.name.endswith(".yaml"):
        yield path


def _targets(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - plain values of YAML
    """Yield the dotted key and the value of each ``_target_`` anywhere in `value`."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            dotted = f"{path}.{key}" if path else str(key)
            if key == TARGET:
                yield dotted, inner
            else:
                yield from _targets(inner, dotted)
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _targets(inner, f"{path}.{number}")
