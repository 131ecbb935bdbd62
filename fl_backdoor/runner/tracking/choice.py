"""Which tracker a configuration asks for, and whether what it needs is installed."""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from fl_backdoor.core import plugins
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.runner.tracking.base import Tracker

KEY = "tracking"


def check(spec: Mapping[str, Any]) -> None:
    """Check a tracker's settings and packages without importing the latter; an empty `spec` asks for none.

    Raises
    ------
    ConfigError
        If a setting is wrong or a package is missing.
    """
    if not spec:
        return
    plugins.settings(spec, KEY)
    target = plugins.resolve(spec, KEY)
    missing = [name for name in getattr(target, "packages", ()) if find_spec(name) is None]
    if missing:
        needs = f"needs {', '.join(missing)}, which is not installed"
        extra = target.extra  # type: ignore[attr-defined]  # a Tracker
        raise ConfigError(KEY, target.__name__, f'{needs}: pip install "fl-backdoor[{extra}]"')


def build(spec: Mapping[str, Any]) -> Tracker | None:
    """Return the tracker that a checked `spec` asks for; None if it is empty."""
    tracker: Tracker | None = plugins.build(spec, KEY) if spec else None
    return tracker
