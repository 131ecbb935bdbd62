"""The state after the last finished round: what a run that was killed goes on from.

``checkpoint/`` holds two files. ``round-<t>.safetensors`` has the global model and what the strategy
remembers, and what malicious clients have told each other; ``checkpoint.json`` says how long each file that
the run goes on from was then, with its digest: this one, the tables, the labels and the configuration. Its
last line is its own digest, so that a bit that flipped in any of them is seen. The JSON is renamed into place
after everything else, so that it always speaks of files that are complete; what the tables hold beyond it
belongs to a round that was not finished. No other state exists: all random numbers of a round follow from
the seed and its number, and clients keep nothing from round to round.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core import files, growing, reading
from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.core.foreign_text import printable
from fl_backdoor.core.growing import Prefix, prefix_of
from fl_backdoor.runs.columns import CLASS_ACCURACY

FOLDER, NAME = "checkpoint", "checkpoint.json"
FORMAT = 2
"""1 had no digests of the tables, and tables of other columns."""

GROW = ("rounds.csv", "clients.csv", CLASS_ACCURACY)
"""What may be longer than it was: rows of a round that was not finished."""

Arrays = Mapping[str, NDArray[np.generic]]
"""Arrays by name."""


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Parameters
    ----------
    server_round
        The last finished round.
    files
        What the files of the run's folder began with then, by name.
    started_at
        When the run was first started, ISO 8601.
    wall_seconds
        How long it has run, interruptions aside.
    """

    server_round: int
    files: Mapping[str, Prefix]
    started_at: str
    wall_seconds: float


@dataclass(frozen=True)
class Checkpoint:
    """What `save` wrote: how far the run is, its model, what the strategy remembers, what attackers share."""

    progress: Progress
    model: Arrays
    strategy: Arrays
    shared_state: bytes = b""


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
    shared = np.frombuffer(checkpoint.shared_state, dtype=np.uint8)
    attack = {"shared_state": shared} if shared.size else {}
    groups = {"model": checkpoint.model, "strategy": checkpoint.strategy, "attack": attack}
    tensors = serialized(
        {
            f"{group}/{name}": np.asarray(array, order="C")
            for group, arrays in groups.items()
            for name, array in arrays.items()
        }
    )
    progress = checkpoint.progress
    file = folder / _tensors(progress.server_round)
    files.replace(file, tensors)
    entries = {
        "format": FORMAT,
        "key": key,
        "tensors": asdict(prefix_of(tensors)),
        "progress": asdict(progress),
    }
    files.replace(folder / NAME, signed(entries))
    files.settle(folder)  # not before is the old one of no use
    for old in set(folder.glob("round-*.safetensors")) - {file}:
        old.unlink()


def load(run_folder: Path, key: str) -> Checkpoint | None:
    """Return the state after the last finished round; None if there is none. Nothing is written.

    Raises
    ------
    FlBackdoorError
        If it is of another experiment or version, or anything that the run would go on from is not, bit for
        bit, what it was then.
    """
    file = run_folder / FOLDER / NAME
    if not file.exists():
        return None
    entries = _entries(file)
    if entries.get("key") != key:
        raise FlBackdoorError(
            f"{file} belongs to another experiment: its folder and its settings do not match"
        )
    try:
        progress = _progress(entries["progress"])
        prefix = Prefix(**entries["tensors"])
    except (KeyError, TypeError, ValueError) as error:
        raise _torn(file, "something in it is missing or of the wrong kind") from error
    tensors = growing.read(file.with_name(_tensors(progress.server_round)), prefix)
    for name, prefix in progress.files.items():
        growing.read(run_folder / name, prefix, grows=name in GROW)
    return Checkpoint(progress, *_groups(tensors))


def signed(entries: Mapping[str, object]) -> bytes:
    """Return `entries` as JSON whose last line is the digest of all others."""
    return _json({**entries, "sha256": prefix_of(_json(entries)).sha256})


def is_there(run_folder: Path) -> bool:
    """Return whether there is something left to do for the run: the folder goes last of all."""
    return (run_folder / FOLDER).is_dir()


def remove(run_folder: Path) -> None:
    """Remove the state of a run that is finished."""
    shutil.rmtree(run_folder / FOLDER, ignore_errors=True)


def _groups(tensors: bytes) -> tuple[Arrays, Arrays, bytes]:
    from safetensors.numpy import load as deserialized
    from safetensors.numpy import save as serialized

    found = deserialized(tensors)
    model, strategy, attack = (
        {name.removeprefix(group): array for name, array in found.items() if name.startswith(group)}
        for group in ("model/", "strategy/", "attack/")
    )
    if "notes" in attack:  # so older versions kept what a trigger had learnt
        return model, strategy, serialized({"trigger": attack["notes"].view(np.float32)})
    return model, strategy, attack["shared_state"].tobytes() if attack else b""


def _entries(file: Path) -> dict[str, Any]:
    content = reading.content(file, reading.LARGEST_TREE)
    try:
        entries = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _torn(file, str(error)) from error
    if not isinstance(entries, dict):
        raise _torn(file, "it must hold values by name")
    if entries.get("format") != FORMAT:
        raise FlBackdoorError(
            f"{file} is of format {printable(str(entries.get('format')))}, this version reads {FORMAT}: "
            "go on with the version that began the run, or begin it anew in another folder"
        )
    # Whole, not by its values: there are bits between them, too.
    if content != signed({name: found for name, found in entries.items() if name != "sha256"}):
        raise _torn(file, "its digest does not fit")
    return entries


def _progress(entries: Mapping[str, Any]) -> Progress:
    """Return what `asdict` made of a `Progress`; raises TypeError or ValueError if it is none."""
    progress = Progress(
        **{**entries, "files": {name: Prefix(**found) for name, found in entries["files"].items()}}
    )
    datetime.fromisoformat(progress.started_at)
    if not isinstance(progress.server_round, int) or not isinstance(progress.wall_seconds, int | float):
        raise TypeError
    return progress


def _tensors(server_round: int) -> str:
    return f"round-{server_round}.safetensors"


def _json(entries: Mapping[str, object]) -> bytes:
    return json.dumps(entries, indent=2).encode()


def _torn(file: Path, why: str) -> FlBackdoorError:
    return FlBackdoorError(f"{file} is torn ({printable(why)}): the run cannot go on from it, begin it anew")
