"""The same run in a simulation, and what of two runs must be equal."""

import csv
import subprocess
import sys
from pathlib import Path

from tests.deployment.federation import REPOSITORY, SMALL

CLOCKS = ("train_seconds", "cpu_seconds", "aggregate_seconds", "evaluate_seconds")


def simulate(folder: Path, *settings: str) -> Path:
    """Make the run of `SMALL` in a simulation, and return its folder."""
    command = [sys.executable, "-m", "fl_backdoor.main", *SMALL, "engine.num_workers=1", *settings]
    command.append(f"hydra.run.dir={folder}")
    done = subprocess.run(command, check=False, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def without_clocks(file: Path) -> list[dict[str, str]]:
    """Return the rows of ``rounds.csv`` or ``clients.csv`` without the seconds that things took."""
    with file.open(newline="", encoding="utf-8") as lines:
        return [
            {name: value for name, value in row.items() if name not in CLOCKS}
            for row in csv.DictReader(lines)
        ]


def assert_same_results(one: Path, other: Path) -> None:
    """Compare two runs: models byte for byte, tables value for value."""
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
    for name in ("rounds.csv", "clients.csv"):
        assert without_clocks(one / name) == without_clocks(other / name)
