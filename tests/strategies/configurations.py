"""What `conf/strategy` holds, without a composition for each file: one takes a third of a second."""

from pathlib import Path
from typing import Any

import yaml

import conf
from fl_backdoor.runner.composition import composed

FOLDER = Path(conf.__file__).parent / "strategy"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))

COMPOSED = {"chain", "benign_alone"}
"""They are made of other files, or of what the experiment knows; all others hold settings alone."""


def settings(name: str, *overrides: str) -> dict[str, Any]:
    """Return the settings of a strategy, as a run with `overrides` would have them."""
    if name in COMPOSED or any(override.startswith("strategy.") for override in overrides):
        [composition] = composed([f"strategy={name}", *overrides])
        found: dict[str, Any] = composition["strategy"]
    else:
        found = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return found
