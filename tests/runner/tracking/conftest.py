"""Runs for trackers to follow, without the runs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from fl_backdoor.runner.tracking.base import TrackedRun
from fl_backdoor.runs.columns import ROUND_COLUMNS

SETTINGS = {
    "seed": 7,
    "num_rounds": 3,
    "attack.alpha": 0.052,
    "attack.last_round": None,
    "strategy._target_": "strategies.FedAvg",
    "strategy.cautious": True,
    "dataset.layout": "[1, 2]",
}


@pytest.fixture
def tracked(tmp_path: Path) -> Callable[..., TrackedRun]:
    """A run in a folder as a multirun has it, ``sweep/<name>``."""

    def make(name: str = "0_fedavg", earlier: Sequence[Any] = ()) -> TrackedRun:
        folder = tmp_path / "sweep" / name
        folder.mkdir(parents=True, exist_ok=True)
        return TrackedRun("mnist5k · FedAvg · α = 0.052", folder, SETTINGS, "0123456789abcdef", earlier)

    return make


@pytest.fixture
def rows() -> list[dict[str, object]]:
    """Three rows of rounds.csv; cells that trackers leave out, and a number that float32 cannot hold."""
    cells = [
        {"server_round": 0, "main_task_accuracy": 0.1},
        {"server_round": 1, "main_task_accuracy": 0.1 + 1e-12, "model_updated": True, "num_replies": 4},
        {
            "server_round": 2,
            "main_task_accuracy": 1 / 3,
            "test_loss": float("inf"),
            "num_replies": 3,
            "diverged": "x",
        },
    ]
    return [dict.fromkeys(ROUND_COLUMNS) | row for row in cells]


@pytest.fixture
def tracked_rows() -> dict[str, dict[int, float]]:
    """What of `rows` a tracker is told, by column and round."""
    return {
        "main_task_accuracy": {0: 0.1, 1: 0.1 + 1e-12, 2: 1 / 3},
        "num_replies": {1: 4.0, 2: 3.0},
        "diverged": {0: 0.0, 1: 0.0, 2: 1.0},
    }
