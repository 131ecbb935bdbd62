"""A note in the run's folder: which of a tracker's runs it is, so that what was cut off goes on there."""

import json
from pathlib import Path

from fl_backdoor.core import files

NOTE = "tracking.json"


def write(folder: Path, uri: str, run_id: str) -> None:
    """Note that this folder's run is `run_id` of what is kept at `uri`; a note that is there goes."""
    files.replace(folder / NOTE, json.dumps({"uri": uri, "run_id": run_id}, indent=2).encode())


def read(folder: Path, uri: str) -> str | None:
    """Return the id of the run that an earlier process began at `uri` for this folder; None: it has none."""
    try:
        note = json.loads((folder / NOTE).read_bytes())
        return str(note["run_id"]) if note["uri"] == uri else None
    except FileNotFoundError:
        return None
