"""What a run's first model was, in words, from its settings."""

from collections.abc import Mapping

from fl_backdoor.core.table import Cell


def started_from(settings: Mapping[str, Cell]) -> str | None:
    """Return what a run starts from, as its settings by dotted key say; None: fresh weights, or unknown."""
    kind = settings.get("start.name")
    if kind == "file":
        return f"starts from the weights in {settings.get('start.path')}"
    if kind == "clean":
        return f"starts from a clean model of {settings.get('start.rounds')} rounds"
    return None
