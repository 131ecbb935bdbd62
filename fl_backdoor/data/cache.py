"""Named arrays, decoded once into a folder of .npy files and memory-mapped from then on.

A folder appears under its name only when it is complete, so that any number of processes may ask for it at
once; those that come second discard their copy. Sizes and SHA-256 are checked when it is opened, and again by
the same process only if a file has changed.
"""

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.errors import DataError

Arrays = Mapping[str, NDArray[Any]]
"""Arrays of any shape by name; read from a folder they are memory-mapped and read-only."""

Named = tuple[str, Arrays]
"""What tells a folder from others of the same data set, and its arrays."""

FORMAT = 1
"""To be raised whenever the same source would be decoded differently."""

META = "meta.json"

SETTLED_SECONDS = 2.0

_DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError)

_log = logging.getLogger("fl_backdoor")


def open_or_create(folder: Path, decode: Callable[[], Arrays]) -> Arrays:
    """Return the arrays in `folder`; decode and write them first if they are absent or damaged.

    Raises
    ------
    DataError
        If the folder cannot be written; and whatever `decode` raises.
    """
    arrays = read(folder)
    if arrays is not None:
        return arrays
    decoded = decode()
    with writing(folder.parent):
        _create(folder, decoded)
        return _open(folder)


def read(folder: Path) -> Arrays | None:
    """Return the arrays in `folder`; None if they are absent or, with a warning in the log, damaged."""
    if not folder.exists():
        return None
    try:
        return _open(folder)
    except _DAMAGE as error:
        _log.warning("%s is damaged (%s) and will not be used", folder, error)
        return None


def newest(cache: Path, name: str) -> Named | None:
    """Return the youngest intact ``<name>-<fingerprint>`` in `cache`; None without one."""
    folders = sorted(cache.glob(f"{name}-*"), key=lambda folder: folder.stat().st_mtime, reverse=True)
    found = ((folder.name.removeprefix(f"{name}-"), read(folder)) for folder in folders)
    return next(((fingerprint, arrays) for fingerprint, arrays in found if arrays is not None), None)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Make `folder`, and turn what goes wrong while something is written there into a DataError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        reason = error.strerror or error
        raise DataError(
            f"dataset.cache: cannot write to {folder} ({reason}); "
            "set it to a folder that is writable and has free space"
        ) from error


def beside(path: Path) -> Path:
    """Return a new hidden name next to `path`, for what is renamed to `path` once it is complete."""
    return path.with_name(f".{path.name}-{uuid4().hex}")


def _create(folder: Path, arrays: Arrays) -> None:
    unfinished = beside(folder)
    try:
        unfinished.mkdir()
        _write(unfinished, arrays)
        _publish(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write(folder: Path, arrays: Arrays) -> None:
    for name, array in arrays.items():
        np.save(_file(folder, name), np.ascontiguousarray(array))
    files = {name: _identity(_file(folder, name)) for name in arrays}
    meta = {"format": FORMAT, "files": files}
    (folder / META).write_text(json.dumps(meta, indent=2), encoding="utf-8")


def _publish(finished: Path, folder: Path) -> None:
    while True:
        try:
            finished.rename(folder)
        except OSError:
            if not folder.exists():
                raise
            if _is_intact(folder):
                return
            _remove(folder)
        else:
            return


def _remove(folder: Path) -> None:
    # Renamed first: nobody must find it half deleted, and another process may be doing the same.
    condemned = beside(folder)
    with suppress(FileNotFoundError):
        folder.rename(condemned)
    shutil.rmtree(condemned, ignore_errors=True)


def _is_intact(folder: Path) -> bool:
    try:
        _open(folder)
    except _DAMAGE:
        return False
    return True


def _open(folder: Path) -> Arrays:
    meta = json.loads((folder / META).read_text(encoding="utf-8"))
    if meta["format"] != FORMAT:
        raise ValueError(f"format {meta['format']}, {FORMAT} is needed")
    for name, identity in meta["files"].items():
        if _identity(_file(folder, name)) != identity:
            raise ValueError(f"{name}.npy has another size or checksum than when it was written")
    return {name: np.load(_file(folder, name), mmap_mode="r") for name in meta["files"]}


def _identity(file: Path) -> dict[str, int | str]:
    stat = file.stat()
    # What was written just now may change again without a later time of change: clocks of file systems tick.
    checksum = _known_sha256 if time.time() - stat.st_mtime > SETTLED_SECONDS else _known_sha256.__wrapped__
    return {"size": stat.st_size, "sha256": checksum(file, stat.st_size, stat.st_mtime_ns, stat.st_ino)}


@lru_cache(maxsize=64)
def _known_sha256(file: Path, *_version: int) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.npy"
