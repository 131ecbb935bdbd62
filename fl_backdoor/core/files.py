"""Writing files so that a reader never meets half of one."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fl_backdoor.core.errors import FlBackdoorError

DRAFT = ".tmp"
"""The end of a draft's name, behind the process that writes it."""


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
    draft = path.with_name(f".{path.name}.{os.getpid()}{DRAFT}")
    with one_line_errors(path):
        try:
            with draft.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)


def obstacle(folder: Path) -> str | None:
    """Return why `folder` cannot be made and written in; None: it can. Nothing of what is tried stays."""
    try:
        whole = folder.absolute()
        there = next(path for path in (whole, *whole.parents) if os.path.lexists(path))
        if not there.is_dir():
            return f"{there} is a link that leads nowhere" if there.is_symlink() else f"{there} is no folder"
        longest = os.pathconf(there, "PC_NAME_MAX")
        if any(len(os.fsencode(part)) > longest for part in whole.relative_to(there).parts):
            return f"a name in it has more than {longest} bytes"
        with suppress(FileNotFoundError):
            whole.lstat()  # as a whole it may be too long, or no path at all
        # To ask for permissions is not enough: a file system can be read-only, full, or not one to write to.
        Path(tempfile.mkdtemp(prefix=".can-be-written-", dir=there)).rmdir()
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    return None


def remove_drafts(folder: Path) -> None:
    """Remove the drafts in `folder` whose processes are gone; those of others are left to them."""
    with one_line_errors(folder):
        for draft in folder.glob(f".*.*{DRAFT}"):
            process = draft.name.removesuffix(DRAFT).rpartition(".")[2]
            if process.isdecimal() and not _is_alive(int(process)):
                draft.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True


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
