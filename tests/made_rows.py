"""Rows and facts of small made-up runs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from fl_backdoor.analysis.sweep import TOLD_BY_SUMMARY
from fl_backdoor.runs.columns import CLIENT_COLUMNS, ROUND_COLUMNS
from fl_backdoor.runs.summary import RunFacts

Row = dict[str, Any]


@pytest.fixture
def round_row() -> Callable[..., Row]:
    """A row of rounds.csv, empty but for the given cells."""
    return lambda **cells: dict.fromkeys(ROUND_COLUMNS) | cells


@pytest.fixture
def client_row() -> Callable[..., Row]:
    """A row of clients.csv, empty but for the given cells."""
    return lambda **cells: dict.fromkeys(CLIENT_COLUMNS) | cells


@pytest.fixture
def facts() -> RunFacts:
    return RunFacts(
        seed=7,
        dataset="CIFAR-10",
        dataset_fallback=None,
        strategy="Hybrid",
        alpha=0.052,
        num_malicious=2,
        boost_factor=1.0,
        attacks=True,
        num_rounds=3,
        malicious_client_ids=(4, 1),
        stamped_of_target_class=0.125,
        gpus=("Some GPU",),
        command="python -m fl_backdoor.main seed=7",
    )


@pytest.fixture
def write_run(tmp_path: Path) -> Callable[..., Path]:
    """Write the two files of a finished run that a sweep reads; `settings` are nested."""

    def write(name: str, settings: Row, **entries: object) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        summary = dict.fromkeys(TOLD_BY_SUMMARY) | {"status": "finished", "rounds_finished": 16} | entries
        (folder / "summary.json").write_text(json.dumps(summary))
        (folder / "config.yaml").write_text(yaml.safe_dump(settings))
        return folder

    return write
