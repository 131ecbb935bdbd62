"""The packages beside this one are ours, whatever a user's folder holds.

`conf`, `clients` and `strategies` are common names, and Python looks into the working directory before it
looks where this package is installed. Whoever imports anything of ours, in whatever process, gets these three
from there; a user's other modules are found as always.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

NAMES = ("clients", "conf", "strategies")

HERE = str(Path(__file__).parents[2])


class OwnPackages:
    """Finds the three; it is asked before Python looks along its path."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where one of our packages is; None for all other modules."""
        return PathFinder.find_spec(name, [HERE]) if name in NAMES else None


def find_first() -> None:
    """Find our own packages from now on; a user's of the same names are forgotten if they are there.

    Raises
    ------
    ImportError
        If one of a user's is just being imported: nobody could tell afterwards which of the two it is.
    """
    if OwnPackages not in sys.meta_path:
        sys.meta_path.insert(0, OwnPackages)
    theirs = [name for name in NAMES if name in sys.modules and not _is_ours(sys.modules[name])]
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in theirs:
            _refuse_half_imported(name, module)
            del sys.modules[name]


def _is_ours(module: ModuleType) -> bool:
    ours = OwnPackages.find_spec(module.__name__)
    return ours is not None and ours.origin == getattr(module, "__file__", None)


def _refuse_half_imported(name: str, module: ModuleType) -> None:
    if getattr(module.__spec__, "_initializing", False):
        package = name.partition(".")[0]
        raise ImportError(
            f"{getattr(module, '__file__', None)}: beside fl_backdoor, {package} is the name of a package of "
            "its own; give yours another one"
        )
