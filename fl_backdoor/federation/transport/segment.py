"""Memory that several processes of one host share, and that no way out can leave behind.

A segment is an anonymous file of Linux (``memfd_create``): it has no name in any folder, and is freed by the
kernel when the last process that holds it has ended, however it ended. Others open it through the file
descriptor of its owner under ``/proc``.
"""

import mmap
import os
import re
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.errors import FlBackdoorError

LABEL = "fl_backdoor"
ADDRESS = re.compile(r"(\d+)/(\d+)/(\d+)")
"""Process, file descriptor, and the file's number, since descriptors are used again."""


def available() -> bool:
    """Return whether this system has segments."""
    return sys.platform == "linux" and Path(f"/proc/{os.getpid()}/fd").is_dir()


class Segment:
    """A stretch of shared memory.

    Parameters
    ----------
    descriptor
        Open file descriptor of the anonymous file; the segment closes it.
    address
        What `open_segment` takes, in any process of the same user and host.
    is_mine
        Whether this process made it: then closing it gives the memory back.
    """

    def __init__(self, descriptor: int, address: str, *, is_mine: bool) -> None:
        self._descriptor = descriptor
        self._mapping: mmap.mmap | None = mmap.mmap(descriptor, 0)
        self._is_mine = is_mine
        self.address = address
        self.buffer: NDArray[np.uint8] = np.frombuffer(self._mapping, dtype=np.uint8)

    def close(self) -> None:
        """Let nobody open it any more; where it is mine, free it, though others may still have it open.

        They find zeros then, and nothing that they write reaches anybody.
        """
        if self._mapping is None:
            return
        if self._is_mine:
            self._mapping.madvise(mmap.MADV_REMOVE)
        os.close(self._descriptor)
        # The mapping itself goes with the last array on it.
        self._mapping, self.buffer = None, np.empty(0, dtype=np.uint8)


def create_segment(num_bytes: int) -> Segment:
    """Return a new segment of zeros.

    Raises
    ------
    FlBackdoorError
        If there is not so much memory.
    """
    descriptor = os.memfd_create(LABEL)
    try:
        os.truncate(descriptor, num_bytes)
        address = f"{os.getpid()}/{descriptor}/{os.fstat(descriptor).st_ino}"
        return Segment(descriptor, address, is_mine=True)
    except (OSError, ValueError, OverflowError) as error:
        os.close(descriptor)
        needed = f"{num_bytes / 1e9:.1f} GB of memory for the updates of a round"
        raise FlBackdoorError(f"{needed} cannot be had ({error}); ask fewer clients a round") from error


def open_segment(address: str) -> Segment:
    """Open a segment of another process of this host.

    Raises
    ------
    FlBackdoorError
        If the address is not that of a segment of this project: a server must not have its clients open
        anything else.
    """
    parts = ADDRESS.fullmatch(address)
    if parts is None:
        raise FlBackdoorError(f"{address!r} is no address of shared memory")
    path = Path("/proc") / parts[1] / "fd" / parts[2]
    try:
        if path.readlink().name != f"memfd:{LABEL} (deleted)" or path.stat().st_ino != int(parts[3]):
            raise FlBackdoorError(f"{address} is no shared memory of {LABEL}")
        return Segment(os.open(path, os.O_RDWR), address, is_mine=False)
    except OSError as error:
        raise FlBackdoorError(f"shared memory {address} cannot be opened: {error}") from error
