"""CPU time and memory of a process and all that it started, read from /proc."""

import os
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """What a tree of processes uses.

    Parameters
    ----------
    cpu_seconds
        User and system time since they started, of those that have ended and were waited for as well.
    memory_mb
        Proportional set size: what several processes share counts once.
    """

    cpu_seconds: float
    memory_mb: float


def usage(root: int) -> Usage:
    """Return what process `root` and its descendants use; those that end meanwhile are left out."""
    ticks, kilobytes = 0, 0
    for process in _tree(root):
        try:
            ticks += sum(_cpu_ticks(process))
            kilobytes += _pss_kilobytes(process)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return Usage(ticks / TICKS_PER_SECOND, kilobytes * 1024 / 1e6)


def _tree(root: int) -> list[int]:
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int(_stat(int(folder.name))[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    found, waiting = [], [root]
    while waiting:
        process = waiting.pop()
        found.append(process)
        waiting += [child for child, parent in parents.items() if parent == process]
    return found


def _cpu_ticks(process: int) -> list[int]:
    """Return user, system, and both of the children that were waited for."""
    return [int(value) for value in _stat(process)[11:15]]


def _stat(process: int) -> list[str]:
    """Return the fields that follow the name (which may hold blanks): state and parent first."""
    return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()


def _pss_kilobytes(process: int) -> int:
    lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
