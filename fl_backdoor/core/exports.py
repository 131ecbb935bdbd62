"""Public names of a package that are imported when they are first asked for.

Whoever needs one of them does not pay for PyTorch or Flower behind the others.
"""

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any


def exported(package: str, homes: Mapping[str, Iterable[str]]) -> Callable[[str], Any]:
    """Return what is to be the module function ``__getattr__`` of a package.

    Parameters
    ----------
    package
        Its ``__name__``.
    homes
        By module the names that are at home there.
    """
    home_of = {name: home for home, names in homes.items() for name in names}

    def found(name: str) -> Any:  # noqa: ANN401 - whatever it is
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(home_of[name]), name)

    return found
