"""A function in a fresh process, and the memory that it took there. Linux only."""

import resource
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Generic, ParamSpec, TypeVar

Value = TypeVar("Value")
Arguments = ParamSpec("Arguments")

SPARED_KB = 1 << 20
"""What is left to the rest of the machine."""


@dataclass(frozen=True)
class Measured(Generic[Value]):
    """What a function returned, and by how much the resident memory rose at most while it ran."""

    value: Value
    peak_mb: float


def isolated(
    prepare: Callable[Arguments, Callable[[], Value]], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Measured[Value] | None:
    """Prepare a function in a fresh process and measure its one call there; None if memory does not suffice.

    Parameters
    ----------
    prepare
        Called in that process; returns the function. What it makes before that is not counted.
    args, kwargs
        What `prepare` is given.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measured, prepare, args, kwargs).result()


def _measured(
    prepare: Callable[..., Callable[[], Value]], args: tuple[object, ...], kwargs: dict[str, object]
) -> Measured[Value] | None:
    _limit_memory()
    try:
        function = prepare(*args, **kwargs)
        # From here on the high-water mark counts anew, see proc_pid_clear_refs(5).
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        before = _kilobytes("/proc/self/status", "VmRSS")
        value = function()
    except MemoryError:
        return None
    return Measured(value, (_kilobytes("/proc/self/status", "VmHWM") - before) / 1000)


def _limit_memory() -> None:
    """Have allocations fail where otherwise the kernel would end some process or other."""
    available = _kilobytes("/proc/meminfo", "MemAvailable") - SPARED_KB
    limit = 1024 * (_kilobytes("/proc/self/status", "VmSize") + available)
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _kilobytes(path: str, name: str) -> int:
    lines = Path(path).read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
