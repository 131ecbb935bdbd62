"""Many clients on one machine: time per round and memory of the whole tree of processes.

Real training through the entry point, on CIFAR-10 where it is at hand (FL_BACKDOOR_DATA) and on the embedded
set otherwise: the images are shared out evenly, every participant trains one epoch on its share.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from benchmarks.measure import Figure, Scale
from benchmarks.processes import usage

CASES = [(100, 10), (1_000, 100), (10_000, 50)]
SMALL_CASES = [(50, 5)]
SAMPLE_SECONDS = 1.0


def measure(scale: Scale) -> Iterator[Figure]:
    """Measure each case with as many rounds as there are to be repeats, and one to begin with."""
    for num_clients, participants in SMALL_CASES if scale.small else CASES:
        with tempfile.TemporaryDirectory() as folder:
            memory_mb = _run(Path(folder), num_clients, participants, scale.repeats + 1)
            rounds = pd.read_csv(Path(folder) / "rounds.csv")
        steady = rounds[rounds["server_round"] > 1]
        case = f"{num_clients} clients, {participants} a round"
        yield Figure(case, "round", "s", tuple(steady["train_seconds"] + steady["aggregate_seconds"]))
        yield Figure(case, "memory of all processes", "MB", (memory_mb,))


def _run(folder: Path, num_clients: int, participants: int, num_rounds: int) -> float:
    """Run an experiment into `folder`; return the largest memory of all of its processes."""
    overrides = [
        f"partition.num_clients={num_clients}",
        f"clients_per_round={participants}",
        f"num_rounds={num_rounds}",
        f"attack.num_malicious={num_clients // 10}",
        "strategy=iqr_filter",
        f"hydra.run.dir={folder}",
    ]
    command = [sys.executable, "-m", "fl_backdoor.main", *overrides]
    largest = 0.0
    with subprocess.Popen(command, env=dict(os.environ), stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            largest = max(largest, usage(process.pid).memory_mb)
            time.sleep(SAMPLE_SECONDS)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return largest
