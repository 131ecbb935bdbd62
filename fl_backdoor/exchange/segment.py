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

from fl_backdoor.errors import FlBackdoorError

LABEL = "fl_backdoor"
ADDRESS = re.compile(r"(\d+)/(\d+)")


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
    """

    def __init__(self, descriptor: int, address: str) -> None:
        self._descriptor = descriptor
        self.address = address
        # Arrays on it keep the mapping alive by themselves.
        self.buffer: NDArray[np.uint8] = np.frombuffer(mmap.mmap(descriptor, 0), dtype=np.uint8)

    def close(self) -> None:
        """Let nobody else open it any more; the memory is freed when nobody uses it any more."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1
        self.buffer = np.empty(0, dtype=np.uint8)


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
        return Segment(descriptor, f"{os.getpid()}/{descriptor}")
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
    path = f"/proc/{parts[1]}/fd/{parts[2]}"
    try:
        if Path(path).readlink().name != f"memfd:{LABEL} (deleted)":
            raise FlBackdoorError(f"{address} is no shared memory of {LABEL}")
        return Segment(os.open(path, os.O_RDWR), address)
    except OSError as error:
        raise FlBackdoorError(f"shared memory {address} cannot be opened: {error}") from error
