"""Which data these are: by the bytes of their files, which are read once.

What was found is noted beside the decoded samples, under what the file system says of the files: path, size,
times of the last change and inode. Only if one of these is another are they read again.
"""

import hashlib
import json
import re
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fl_backdoor.core import plugins
from fl_backdoor.core.errors import DataError
from fl_backdoor.core.plugins import Spec
from fl_backdoor.data.cache import SETTLED_SECONDS, beside

Checksum = Literal["sha256", "md5"]
"""How the bytes of a file are summed up."""

FINGERPRINT = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Contents:
    """Which data a set consists of.

    Parameters
    ----------
    fingerprint
        16 hexadecimal digits that follow from the names and the bytes of its files.
    is_published
        Whether these are the files that are published under the set's name, so that the name says all.
    """

    fingerprint: str
    is_published: bool = False

    @property
    def beside_the_name(self) -> str | None:
        """What tells the data apart from others under the same settings; None: the name does."""
        return None if self.is_published else self.fingerprint


def contents_of(spec: Spec) -> Contents | None:
    """Return which data the data set of a configuration is made of; None where they are yet to be downloaded.

    Raises
    ------
    FlBackdoorError
        If a setting is wrong, or the data are absent or cannot be read.
    """
    found: Contents | None = plugins.build(spec, "dataset").contents()
    return found


def fingerprint_of(folder: Path, files: Sequence[Path], checksum: Checksum, remembered: Path) -> str:
    """Return 16 hexadecimal digits that follow from the files' names and bytes.

    Parameters
    ----------
    folder
        Names are told from here, so that it may lie anywhere.
    files
        Files in and below it, in any order.
    checksum
        ``md5`` where that is what is published for them.
    remembered
        Folder for what was found; where nothing can be written, all is read each time.

    Raises
    ------
    DataError
        If a file cannot be read.
    """
    try:
        state, changed = _state(files)
        note = remembered / f"contents-{_digest([checksum, state])}.txt"
        known = _noted(note)
        if known is not None:
            return known
        # What was written just now may change again without a later time: clocks of file systems tick.
        is_settled = time.time() - changed > SETTLED_SECONDS
        found = _digest(sorted((_name(file, folder), _sum(file, checksum)) for file in files))
        if is_settled and _state(files)[0] == state:
            _note(note, found)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"dataset.root: {error.filename or folder} cannot be read ({reason})") from error
    return found


def _state(files: Iterable[Path]) -> tuple[list[tuple[str, int, int, int, int]], float]:
    """Return what the file system says of the files, and when the last of them was changed, in seconds."""
    stats = [(str(file.absolute()), file.stat()) for file in files]
    state = [(name, of.st_size, of.st_mtime_ns, of.st_ctime_ns, of.st_ino) for name, of in stats]
    return state, max((of.st_ctime for _, of in stats), default=0.0)


def _name(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix()


def _sum(file: Path, checksum: Checksum) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, checksum).hexdigest()


def _digest(plain: object) -> str:
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()[:16]


def _noted(note: Path) -> str | None:
    with suppress(OSError, UnicodeDecodeError):
        found = note.read_text(encoding="ascii")
        if FINGERPRINT.fullmatch(found):
            return found
    return None


def _note(note: Path, fingerprint: str) -> None:
    unfinished = beside(note)
    with suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(fingerprint, encoding="ascii")
        unfinished.replace(note)
