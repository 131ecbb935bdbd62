"""A chain of defences as it stands in a configuration: names in ``steps``, and the settings of each.

In the YAML file every step that comes with the program has its settings, so that each can be set by its name;
those that ``steps`` does not name are left out before anything else sees the configuration.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from difflib import get_close_matches
from typing import Any

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.plugins import TARGET

KEY = "strategy.steps"

STEPS = "steps"

WHOLE, OPTIMIZER = "rule", "server_optimizer"
"""What a strategy and the step after it are called in a chain that was made of them."""

LONGEST_NAME = 120
"""Characters of a folder's name that tell of its strategy; file systems allow 255 in all."""

Strategy = Mapping[str, Any]
"""The settings of a strategy, as plain values."""


def is_chain(strategy: Strategy) -> bool:
    """Return whether these are the settings of a chain."""
    return _class_name(strategy) == "Chain" and STEPS in strategy


def unused(strategy: Strategy) -> list[str]:
    """Return which plug-ins a chain has settings of and no step; of another strategy none.

    Raises
    ------
    ConfigError
        If a step is named of which there are no settings.
    """
    if not is_chain(strategy):
        return []
    steps, known = strategy[STEPS], _plugins(strategy)
    if not isinstance(steps, list):
        raise ConfigError(KEY, steps, "must be a list, such as [norm_clipping,median]")
    for name in steps:
        if name not in known:
            near = get_close_matches(str(name), known, n=2)
            meant = f"; did you mean {' or '.join(near)}?" if near else ""
            raise ConfigError(KEY, name, f"must be one of {', '.join(sorted(known))}{meant}")
    return [name for name in known if name not in steps]


def of_step(error: ConfigError, name: str) -> ConfigError:
    """Return the error of a step, which knows its settings as ``strategy.…``, under the step's own key."""
    group, _, setting = error.key.partition(".")
    if group != "strategy" or not setting or setting.startswith(f"{name}."):
        return error
    return ConfigError(f"strategy.{name}.{setting}", error.value, error.allowed)


def followed_by(strategy: Strategy, last: Strategy) -> Strategy:
    """Return a chain of a strategy and one more step; the strategy alone if `last` is empty."""
    if not last:
        return strategy
    if not is_chain(strategy):
        strategy = {TARGET: "strategies.Chain", STEPS: [WHOLE], WHOLE: strategy}
    return {**strategy, STEPS: [*strategy[STEPS], OPTIMIZER], OPTIMIZER: last}


def as_set(error: ConfigError, strategy: Strategy) -> ConfigError:
    """Return the error of what `followed_by` has made of `strategy` under the key that the user has set."""
    inside = {f"strategy.{OPTIMIZER}": OPTIMIZER}
    if not is_chain(strategy):
        inside[f"strategy.{WHOLE}"] = "strategy"
    for key, outside in inside.items():
        if error.key.startswith(f"{key}."):
            return ConfigError(outside + error.key.removeprefix(key), error.value, error.allowed)
    return error


def title(strategy: Strategy, last: Strategy | None = None) -> str:
    """Return what a strategy is called in tables and figures: its class, of a chain its steps.

    The steps may be text, as JSON, as a list is in a table of settings. `last` is what follows it, as in
    `followed_by`.
    """
    if last and last.get(TARGET):
        return f"{title(strategy)}+{_class_name(last)}"
    steps = strategy.get(STEPS)
    if isinstance(steps, str):
        with suppress(ValueError):
            steps = json.loads(steps)
    if is_chain(strategy) and isinstance(steps, list):
        return f"chain({'>'.join(map(str, steps))})"
    return _class_name(strategy)


def folder_name(choice: str, strategy: Strategy) -> str:
    """Return how a strategy, chosen as `choice`, goes into the name of a folder: a chain with its steps."""
    steps = strategy.get(STEPS)
    if not is_chain(strategy) or not isinstance(steps, list):
        return choice
    return "-".join([choice, *map(str, steps)])[:LONGEST_NAME]


def _class_name(strategy: Strategy) -> str:
    return str(strategy.get(TARGET, "?")).rpartition(".")[2]


def _plugins(strategy: Strategy) -> list[str]:
    return [name for name, spec in strategy.items() if isinstance(spec, Mapping) and TARGET in spec]
