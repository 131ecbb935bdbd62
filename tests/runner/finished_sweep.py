"""A multirun that several files of tests look at, made once for all of their processes."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

from tests.runner.test_main import SMALL, fill_with_our_names, run


@dataclass(frozen=True)
class Sweep:
    """The folder of the multirun, and what the program printed."""

    folder: Path
    stdout: str
    stderr: str


def finished_sweep(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """Return FedAvg with α = 0 and with 0.3, one made after the other; nobody may change them."""
    place = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent
    folder, told = place / "finished_sweep", place / "finished_sweep.json"
    with FileLock(f"{told}.lock"):
        if not told.exists():
            folder.mkdir()
            fill_with_our_names(folder)
            shown = run(folder, "-m", *SMALL, "attack.alpha=0,0.3", "num_rounds=2", "hydra.sweep.dir=found")
            assert shown.returncode == 0, shown.stdout + shown.stderr
            told.write_text(json.dumps([shown.stdout, shown.stderr]))
    return Sweep(folder / "found", *json.loads(told.read_text()))
