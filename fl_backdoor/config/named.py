"""Plug-ins by name, of which a list beside them says which play a part, and in what order."""

from collections.abc import Mapping
from typing import Any

from fl_backdoor.core.errors import ConfigError


def with_named(plain: Mapping[str, Any], group: str, listing: str, table: str) -> dict[str, Any]:
    """Return a plain configuration in which `group` has settings of those plug-ins alone that it names.

    Parameters
    ----------
    plain
        The whole configuration.
    group
        Name of the group.
    listing, table
        In it, the list of names, and the settings by name.

    Raises
    ------
    ConfigError
        If it names one that there is not.
    """
    settings = plain.get(group)
    if not isinstance(settings, Mapping):
        return dict(plain)
    names, known = settings.get(listing) or [], settings.get(table) or {}
    if not isinstance(names, list) or not isinstance(known, Mapping):
        return dict(plain)  # whoever checks types says so
    for name in names:
        if name not in known:
            allowed = f"must be among those that {group}.{table} has settings of: {', '.join(known)}"
            raise ConfigError(f"{group}.{listing}", name, allowed)
    return {**plain, group: {**settings, table: {name: known[name] for name in names}}}
