"""On what a run was made: versions, hardware and the state of the checkout."""

import os
import platform
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("flwr", "torch", "torchvision", "ray", "numpy", "hydra-core", "fl-backdoor")


def versions() -> dict[str, str | None]:
    """Return the versions of Python and of the packages that results depend on; null: not installed."""
    return {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}


def hardware(gpus: Sequence[str]) -> dict[str, Any]:
    """Describe this machine; `gpus` are the names of the GPUs, which only PyTorch knows."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": _cpu_model(),
        "cores": usable_cores(),
        "memory_gb": round(memory_bytes / 1e9, 1),
        "gpus": list(gpus),
    }


def usable_cores() -> int:
    """Return how many cores this process may use, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def git_state(folder: Path) -> tuple[str | None, bool | None]:
    """Return commit and whether anything differs from it; both None unless git tracks `folder`.

    A package that is installed somewhere below another project's checkout is not tracked by it.
    """
    if not _git(folder, "ls-files", "."):
        return None, None
    status = _git(folder, "status", "--porcelain")
    return _git(folder, "rev-parse", "HEAD"), None if status is None else status != ""


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _cpu_model() -> str:
    try:
        described = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        described = []
    names = [line.partition(":")[2].strip() for line in described if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
