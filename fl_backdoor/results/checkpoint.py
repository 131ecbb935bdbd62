"""The state after the last finished round: what a run that was killed goes on from.

``checkpoint/`` holds two files. ``round-<t>.safetensors`` has the global model and what the strategy
remembers, and what malicious clients have told each other; ``checkpoint.json`` names it, with its digest,
and says how long the tables were then. The JSON is renamed into place after everything else, so that it
always speaks of files that are complete; what the tables hold beyond it belongs to a round that was not
finished. No other state exists: all random numbers of a round follow from the seed and its number, and
clients keep nothing from round to round.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.errors import FlBackdoorError
from fl_backdoor.results import files

FOLDER = "checkpoint"
FORMAT = 1

Arrays = Mapping[str, NDArray[np.generic]]
"""Arrays by name."""


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Parameters
    ----------
    server_round
        The last finished round.
    rounds_bytes, clients_bytes
        Length of ``rounds.csv`` and ``clients.csv`` then.
    started_at
        When the run was first started, ISO 8601.
    wall_seconds
        How long it has run, interruptions aside.
    """

    server_round: int
    rounds_bytes: int
    clients_bytes: int
    started_at: str
    wall_seconds: float


@dataclass(frozen=True)
class Checkpoint:
    """What `save` wrote: how far the run is, its model, what the strategy remembers, the attackers' notes."""

    progress: Progress
    model: Arrays
    strategy: Arrays
    notes: bytes = b""


def save(run_folder: Path, key: str, checkpoint: Checkpoint) -> None:
    """Put the state of a finished round in the place of the one before it.

    Parameters
    ----------
    run_folder
        The run's folder.
    key
        Names the experiment: a checkpoint of another one is refused.
    checkpoint
        What to write; its tables must be on the disk.

    Raises
    ------
    FlBackdoorError
        If it cannot be written; the state before is then still there.
    """
    from safetensors.numpy import save as serialized

    folder = run_folder / FOLDER
    with files.one_line_errors(folder):
        folder.mkdir(exist_ok=True)
    notes = {"notes": np.frombuffer(checkpoint.notes, dtype=np.uint8)} if checkpoint.notes else {}
    groups = {"model": checkpoint.model, "strategy": checkpoint.strategy, "attack": notes}
    tensors = serialized(
        {
            f"{group}/{name}": np.asarray(array, order="C")
            for group, arrays in groups.items()
            for name, array in arrays.items()
        }
    )
    name = f"round-{checkpoint.progress.server_round}.safetensors"
    files.replace(folder / name, tensors)
    told = {"format": FORMAT, "key": key, "tensors": name, "sha256": _digest(tensors)}
    files.replace(
        folder / "checkpoint.json", json.dumps(told | asdict(checkpoint.progress), indent=2).encode()
    )
    files.settle(folder)  # not before is the old one of no use
    for old in set(folder.glob("round-*.safetensors")) - {folder / name}:
        old.unlink()


def load(run_folder: Path, key: str) -> Checkpoint | None:
    """Return the state after the last finished round; None if there is none.

    Raises
    ------
    FlBackdoorError
        If it is torn, of another experiment or of a newer version.
    """
    file = run_folder / FOLDER / "checkpoint.json"
    if not file.exists():
        return None
    told = _told(file)
    if told.pop("format", None) != FORMAT:
        raise FlBackdoorError(f"{file} is not of format {FORMAT}, which this version reads")
    if told.pop("key", None) != key:
        raise FlBackdoorError(
            f"{file} belongs to another experiment: its folder and its settings do not match"
        )
    try:
        tensors = file.with_name(str(told.pop("tensors"))).read_bytes()
        digest = told.pop("sha256")
        progress = Progress(**told)
    except (OSError, KeyError, TypeError) as error:
        raise _torn(file, str(error)) from error
    if digest != _digest(tensors):
        raise _torn(file, "the model beside it is not the one that it speaks of")
    return Checkpoint(progress, *_groups(tensors))


def remove(run_folder: Path) -> None:
    """Remove the state of a run that is finished."""
    shutil.rmtree(run_folder / FOLDER, ignore_errors=True)


def _groups(tensors: bytes) -> tuple[Arrays, Arrays, bytes]:
    from safetensors.numpy import load as deserialized

    found = deserialized(tensors)
    model, strategy, attack = (
        {name.removeprefix(group): array for name, array in found.items() if name.startswith(group)}
        for group in ("model/", "strategy/", "attack/")
    )
    return model, strategy, attack["notes"].tobytes() if attack else b""


def _told(file: Path) -> dict[str, Any]:
    try:
        told = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise _torn(file, str(error)) from error
    if not isinstance(told, dict):
        raise _torn(file, "it must hold values by name")
    return told


def _torn(file: Path, why: str) -> FlBackdoorError:
    return FlBackdoorError(
        f"{file} is torn ({' '.join(why.split())}): the run cannot go on from it, begin it anew"
    )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
