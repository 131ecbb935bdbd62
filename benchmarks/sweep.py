"""The article's sweep over α as a user starts it, start-up included; on a GPU its clients share that."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from benchmarks.measure import Figure, Scale
from benchmarks.whole_run import REPOSITORY, dataset_settings

ALPHAS = "0,0.02,0.052,0.1,0.3"


def measure(scale: Scale) -> Iterator[Figure]:
    """Time all runs of the sweep together."""
    alphas = "0,0.3" if scale.small else ALPHAS
    small = ["dataset=mnist5k", "num_rounds=1", "client.local_steps=1"]
    settings = small if scale.small else dataset_settings()
    seconds = []
    for _ in range(scale.repeats):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "fl_backdoor.main", "-m", f"attack.alpha={alphas}", *settings]
            started = time.perf_counter()
            subprocess.run(
                [*command, f"outputs={folder}"], cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL
            )
            seconds.append(time.perf_counter() - started)
    yield Figure(f"{settings[0]}, α = {alphas}", "sweep", "s", tuple(seconds))
