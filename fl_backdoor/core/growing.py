"""A file that only grows, with the digest of all that is in it: no byte is read again for it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fl_backdoor.core import files, reading
from fl_backdoor.core.errors import FlBackdoorError


@dataclass(frozen=True)
class Prefix:
    """What a file began with at some time.

    Parameters
    ----------
    length
        Bytes.
    sha256
        Their digest, 64 hex digits.
    """

    length: int
    sha256: str


def prefix_of(content: bytes) -> Prefix:
    """Return `content` as the prefix of a file."""
    return Prefix(len(content), hashlib.sha256(content).hexdigest())


def read(path: Path, prefix: Prefix, *, grows: bool = False) -> bytes:
    """Return the bytes that `prefix` speaks of.

    Parameters
    ----------
    path
        The file.
    prefix
        What it began with when that was written down.
    grows
        Whether it may have more by now; if so that is left out.

    Raises
    ------
    FlBackdoorError
        If it cannot be read or does not begin with just that.
    """
    content = reading.content(path, max(prefix.length, reading.LARGEST_TABLE))
    if len(content) < prefix.length:
        raise FlBackdoorError(f"{path} is damaged: {len(content)} bytes are left of {prefix.length}")
    begins_with = content[: prefix.length] if grows else content
    if prefix_of(begins_with) != prefix:
        raise FlBackdoorError(f"{path} is damaged: it is not what the checkpoint speaks of")
    return begins_with


class GrowingFile:
    """Appends to a file.

    Parameters
    ----------
    path
        The file; nothing is done to it before `begin` or `go_on`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._length = 0
        self._digest = hashlib.sha256()

    @property
    def prefix(self) -> Prefix:
        """All that was written so far."""
        return Prefix(self._length, self._digest.hexdigest())

    def begin(self, content: bytes) -> None:
        """Begin the file anew with `content`; raises FlBackdoorError if it cannot be written."""
        files.replace(self.path, content)
        self._take(content)

    def go_on(self, prefix: Prefix) -> None:
        """Take the file back to `prefix`; raises FlBackdoorError if it does not begin with it."""
        content = read(self.path, prefix, grows=True)
        files.cut(self.path, prefix.length)
        self._take(content)

    def append(self, content: bytes) -> None:
        """Add `content` and return when it is on the disk; raises FlBackdoorError if it cannot be."""
        files.append(self.path, content)
        self._length += len(content)
        self._digest.update(content)

    def _take(self, content: bytes) -> None:
        self._length, self._digest = len(content), hashlib.sha256(content)
