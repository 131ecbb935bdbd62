"""Memory of tensors that are freed and asked for again in every step stays with the process.

By default glibc gives large pieces back to the system at once and the system clears them page by page when
they are asked for again: a quarter of a training step of the small CNN, half of an evaluation in batches of
1,000 images.
"""

import ctypes
from functools import cache

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""What ``mallopt`` calls these settings in ``malloc.h``."""

LARGEST_KEPT = 32 << 20
"""Bytes; larger pieces, such as matrices of updates, do go back. Older versions of glibc take no more."""


@cache
def keep_freed_memory() -> bool:
    """Have the C library keep what is freed for this process; return whether it can."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)) and bool(mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
