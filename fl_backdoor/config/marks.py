"""Marks of settings: what a setting has to do with a run's metrics is said once, in its type.

``every: Annotated[PositiveCount, WithoutAttack(1)] = 1``

A setting without a mark counts: two runs that differ in it are two different runs. Whoever asks (names of
runs, clean baselines, resuming, tables, nodes) reads the marks, see `fl_backdoor.config.metric_settings`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum, auto
from functools import cache
from types import UnionType
from typing import Annotated, Any, get_args, get_origin, get_type_hints


class Mark(Enum):
    """What is said of a setting without further details."""

    BESIDE_THE_METRICS = auto()
    """No metric depends on it: where a run goes on, where its files are, what is done beside it."""
    ONLY_UNDER_ATTACK = auto()
    """Nothing depends on it in a run without attackers."""
    SERVER_ONLY = auto()
    """Clients are not told it, and no node builds it."""
    OWN_FOLDER = auto()
    """A folder of the machine: another one takes its own default in its place."""
    INSIDE_ROOT = auto()
    """A folder in the one with the data; another machine takes none outside it."""


@dataclass(frozen=True)
class AddedLater:
    """Runs were made before there was this setting: where it is `neutral`, they are the same runs."""

    neutral: object


@dataclass(frozen=True)
class CountsWith:
    """It counts only where another setting of its group, `other`, is neither null nor zero."""

    other: str


@dataclass(frozen=True)
class NamedBy:
    """Plug-ins by name, of which those count that another setting of its group, `other`, lists."""

    other: str


@dataclass(frozen=True)
class WithoutAttack:
    """Its `value` in a run without attackers."""

    value: Any


@dataclass(frozen=True)
class PlugIn:
    """A plug-in, of whose settings those in the class `settings` have marks."""

    settings: type


@dataclass(frozen=True)
class Marked:
    """A setting as its group's class declares it.

    Parameters
    ----------
    marks
        What is said of it.
    groups
        The class of the settings that it consists of, or several that go by their ``name``; empty: it is a
        value.
    """

    marks: tuple[object, ...]
    groups: tuple[type, ...]

    def group_of(self, value: dict[str, Any]) -> type | None:
        """Return the class of the settings that this value consists of; None: it is a value."""
        if len(self.groups) < 2:
            return next(iter(self.groups), None)
        return next((group for group in self.groups if _name_of(group) == value.get("name")), None)

    def counts(self, value: object, beside: dict[str, Any]) -> bool:
        """Return whether metrics depend on it at this value, with `beside` it the settings of its group."""
        return not any(
            mark is Mark.BESIDE_THE_METRICS
            or (isinstance(mark, AddedLater) and value == mark.neutral)
            or (isinstance(mark, CountsWith) and not beside.get(mark.other))
            for mark in self.marks
        )

    def named(self, value: Any, beside: dict[str, Any]) -> Any:  # noqa: ANN401 - a plain value
        """Return what counts of a value: all of it, or the plug-ins that are named `beside` it."""
        listing = next((mark.other for mark in self.marks if isinstance(mark, NamedBy)), None)
        if listing is None:
            return value
        return {name: value[name] for name in beside.get(listing) or () if name in value}

    def without_attack(self) -> tuple[WithoutAttack, ...]:
        """Return its value in a run without attackers, if it has one of its own there."""
        return tuple(mark for mark in self.marks if isinstance(mark, WithoutAttack))

    @property
    def goes_by_attack(self) -> bool:
        """Whether it makes no difference where nobody attacks."""
        return Mark.ONLY_UNDER_ATTACK in self.marks or bool(self.without_attack())


@cache
def settings_of(group: type) -> dict[str, Marked]:
    """Return all settings that a class declares, by name."""
    return {name: _marked(hint) for name, hint in get_type_hints(group, include_extras=True).items()}


def marked(group: type, mark: Mark) -> tuple[str, ...]:
    """Return the names of the settings of a class that have `mark`."""
    return tuple(name for name, setting in settings_of(group).items() if mark in setting.marks)


def along(key: str, group: type) -> Iterator[Marked]:
    """Yield what a dotted key leads through, from the outermost group of settings inwards."""
    inside: tuple[type, ...] = (group,)
    for name in key.split("."):
        found = next((own[name] for own in map(settings_of, inside) if name in own), None)
        if found is None:
            return
        yield found
        inside = found.groups


def _marked(hint: Any) -> Marked:  # noqa: ANN401 - a type, as it is written
    bare, *marks = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    plugged = [mark.settings for mark in marks if isinstance(mark, PlugIn)]
    kinds = get_args(bare) if isinstance(bare, UnionType) else (bare,)
    own = [kind for kind in kinds if isinstance(kind, type) and is_dataclass(kind)]
    return Marked(tuple(marks), tuple(plugged or own))


def _name_of(group: type) -> object:
    """Return what a class of several is told from the others by."""
    return next(field.default for field in fields(group) if field.name == "name")
