"""Which settings tell runs apart, and how a reader knows them."""

from collections.abc import Sequence

from fl_backdoor.analysis.seeds import differing_keys
from fl_backdoor.core import table
from fl_backdoor.runs.run import Settings


def varying_keys(settings: Sequence[Settings]) -> tuple[str, ...]:
    """Return the keys that differ and do not only follow from a plug-in that differs."""
    return tuple(key for key in differing_keys(settings) if not _follows(key, settings))


def plugin_of(key: str, settings: Sequence[Settings]) -> str | None:
    """Return the setting that says which plug-in `key` is a setting of; None: it stands by itself."""
    group = key.rpartition(".")[0]
    if group.partition(".")[0] in {"strategy", "dataset"}:
        return group.partition(".")[0]
    target = f"{group}._target_"
    return target if target != key and any(target in found for found in settings) else None


def value(found: table.Cell) -> str:
    """Write the value of a setting as YAML does."""
    if found is None:
        return "null"
    return f"{found:g}" if isinstance(found, float) else table.cell(found)


def short(key: str, found: table.Cell) -> str:
    """Write the value of `key`; of a plug-in, its name alone."""
    return value(found).rpartition(".")[2] if key.endswith("._target_") else value(found)


def _follows(key: str, settings: Sequence[Settings]) -> bool:
    """Return whether `key` has but one value under each plug-in that its group holds."""
    plugin = plugin_of(key, settings)
    if plugin is None:
        return False
    pairs = {(repr(found.get(plugin)), repr(found.get(key))) for found in settings}
    return len(pairs) == len({chosen for chosen, _ in pairs})
