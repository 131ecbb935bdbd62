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
    if kind == "run":
        return f"starts from the {settings.get('start.model')} model of {settings.get('start.folder')}"
    if kind == "torchvision":
        return f"starts from {settings.get('start.weights')}"
    return None
