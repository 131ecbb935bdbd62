"""Reading files that anybody may have written: whatever is in their place costs one line, never the program.

A run folder can come from another machine, a crash or a prank. Only regular files are opened, links to them
included; what is read is bounded in size, in depth and in digits before anything is made of it.
"""

import json
import math
import os
import stat
from pathlib import Path

from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.core.foreign_text import cleaned

LARGEST_TABLE, LARGEST_TREE = 2**30, 2**22
"""Bytes of a table, and of a file with nested values."""

DEEPEST = 32
"""Values within values; the configuration has four levels."""

MOST_DIGITS = 300
"""Whole numbers with more need not fit a float, and no setting or figure has them."""


def content(path: Path, largest: int) -> bytes:
    """Return the bytes of a regular file.

    Raises
    ------
    FlBackdoorError
        If it cannot be read, is something else than a file, or has more than `largest` bytes.
    """
    try:
        # A pipe that nobody writes to would be waited for without the flag.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise FlBackdoorError(f"{path} cannot be read: it is no regular file")
            if found.st_size > largest:
                raise FlBackdoorError(f"{path} cannot be read: it has more than {largest} bytes")
            return file.read(found.st_size)
    except OSError as error:
        raise FlBackdoorError(f"{path} cannot be read: {error.strerror or error}") from error


def json_values(path: Path) -> object:
    """Return what a JSON file holds; raises FlBackdoorError like `content`, or if it is damaged."""
    text = content(path, LARGEST_TREE)
    try:
        return _bounded(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise damaged(path, error) from error


def yaml_values(path: Path) -> object:
    """Return what a YAML file holds, plain values only; raises FlBackdoorError like `json_values`."""
    import yaml

    # The loader written in C is ten times as fast, which many runs add up to.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = content(path, LARGEST_TREE)
    try:
        _refuse_knots(text, loader)
        return _bounded(yaml.load(text, loader))
    except (ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
        raise damaged(path, error) from error


def damaged(path: Path, why: object) -> FlBackdoorError:
    """Return the error that says that `path` holds something else than it should."""
    return FlBackdoorError(f"{path} is damaged: {cleaned(str(why))}")


def _refuse_knots(text: bytes, loader: type) -> None:
    """Refuse YAML that refers to itself, which a few lines can blow up or tie into a ring, or is deep."""
    import yaml

    depth = 0
    for event in yaml.parse(text, loader):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"it refers to &{event.anchor}; each value must be written out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        _check_depth(depth)


def _bounded(found: object, depth: int = 0) -> object:
    """Return `found` if all names and numbers in it can be written down again; raises ValueError."""
    _check_depth(depth)
    if isinstance(found, dict):
        for name, inner in found.items():
            if not isinstance(name, str | int | float | None):
                raise ValueError(f"{name!r} is no name of a value")
            _bounded(name)
            _bounded(inner, depth + 1)
    elif isinstance(found, list | tuple | set):
        for inner in found:
            _bounded(inner, depth + 1)
    elif isinstance(found, int) and found and math.log10(abs(found)) > MOST_DIGITS:
        raise ValueError(f"a number in it has more than {MOST_DIGITS} digits")
    return found


def _check_depth(depth: int) -> None:
    if depth > DEEPEST:
        raise ValueError(f"it has more than {DEEPEST} levels")
