"""One process at a time writes a run's folder; the lock goes with the process, however it ends."""

import fcntl
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fl_backdoor.core import files
from fl_backdoor.core.errors import FlBackdoorError


@contextmanager
def only_writer(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold `folder`, which is made if need be, for this process alone.

    Parameters
    ----------
    folder
        A run's folder. The folder itself is locked: no file tells of it.
    wait
        Whether to wait for another process that holds it.

    Raises
    ------
    FlBackdoorError
        If another process holds it and is not to be waited for, or the folder cannot be made.
    """
    with files.one_line_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor, folder, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def own_folder(folder: Path, mark: str) -> Path:
    """Return `folder`, or the first of ``<folder>-2``, ``<folder>-3``, … that no other process has taken.

    Parameters
    ----------
    folder
        Made if need be.
    mark
        Name of a file of the run. Whoever makes it has the folder.

    Raises
    ------
    FlBackdoorError
        If the folder cannot be made or written.
    """
    for number in itertools.count(2):
        with files.one_line_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                (folder / mark).open("xb").close()
            except FileExistsError:
                folder = folder.with_name(f"{folder.name.removesuffix(f'-{number - 1}')}-{number}")
            else:
                break
    return folder


def is_held(folder: Path) -> bool:
    """Return whether a process holds `folder`, as far as this machine's file systems tell."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # a file system that knows no locks
    else:
        return False
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path, how: int) -> None:
    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError as error:
        raise FlBackdoorError(f"{folder} is being written by a run that still goes on") from error
    except OSError:
        return  # a file system that knows no locks
