"""Writing files so that a reader never meets half of one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fl_backdoor.errors import FlBackdoorError


@contextmanager
def one_line_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write `path` into one line for the user."""
    try:
        yield
    except OSError as error:
        raise FlBackdoorError(f"{path} cannot be written: {error.strerror or error}") from error


def replace(path: Path, content: bytes) -> None:
    """Write `content` to `path` at one stroke: before, the old file is there; after, the new one.

    Raises
    ------
    FlBackdoorError
        If the file cannot be written; an old one is then left as it was.
    """
    # The process number keeps two runs that finish at once out of each other's way.
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with one_line_errors(path):
        try:
            with draft.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)


def settle(folder: Path) -> None:
    """Return when everything that was renamed into `folder` would survive a power cut.

    Raises
    ------
    FlBackdoorError
        If the folder cannot be written.
    """
    with one_line_errors(folder):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def append(path: Path, content: bytes) -> None:
    """Add `content` to the end of `path` and return when it is on the disk.

    Raises
    ------
    FlBackdoorError
        If the file cannot be written.
    """
    with one_line_errors(path), path.open("ab") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def cut(path: Path, length: int) -> None:
    """Leave only the first `length` bytes of `path`.

    Raises
    ------
    FlBackdoorError
        If it has fewer, or cannot be written.
    """
    with one_line_errors(path), path.open("r+b") as file:
        found = file.seek(0, os.SEEK_END)
        if found < length:
            raise FlBackdoorError(f"{path} is damaged: {found} bytes are left of {length}")
        file.truncate(length)
        os.fsync(file.fileno())
