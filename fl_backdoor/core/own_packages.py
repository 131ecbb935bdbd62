"""The packages beside this one are ours, whatever a user's folder holds.

`conf`, `clients` and `strategies` are common names, and Python looks into the working directory before it
looks where this package is installed. Whoever imports anything of ours, in whatever process, gets these three
from there; a user's other modules are found as always.
"""

import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

NAMES = ("clients", "conf", "strategies")

HERE = str(Path(__file__).parents[2])


def find_first() -> None:
    """Import our own packages; what is below them is then looked for in them alone."""
    for name in NAMES:
        spec = PathFinder.find_spec(name, [HERE])
        if spec is None or spec.loader is None or spec.origin == _origin(name):
            continue
        sys.modules[name] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])


def _origin(name: str) -> str | None:
    return getattr(sys.modules.get(name), "__file__", None)
