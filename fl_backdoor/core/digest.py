"""Which file this is: by its bytes."""

import hashlib
from functools import lru_cache
from pathlib import Path


def sha256_of(path: Path) -> str:
    """Return the digest of a file, 64 hexadecimal digits; raises OSError if it cannot be read."""
    found = path.stat()
    return _sha256_of(path, found.st_size, found.st_mtime_ns, found.st_ino)


@lru_cache(maxsize=64)  # all runs of a sweep may ask for the same one
def _sha256_of(path: Path, *_state: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
