"""One Ray for several processes that run experiments side by side."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SharedRay:
    """A Ray that another process of this program has started, and will end.

    Parameters
    ----------
    address
        Where it is.
    num_jobs
        How many experiments share its processor cores and GPUs, each an equal part.
    """

    address: str
    num_jobs: int
