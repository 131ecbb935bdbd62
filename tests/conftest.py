"""What several parts of the tests need."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.runner.finished_sweep import Sweep

# Whether a machine is busy says nothing about a property.
settings.register_profile("any_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any_machine")

REPOSITORY = Path(__file__).parents[1]

LONG = (
    "documents/test_commands.py",
    "deployment/test_proof.py",
    "runner/test_resume.py",
    "engine/test_simulation.py",
    "documents/test_extending.py",
    "runner/test_side_by_side.py",
    "runner/test_main.py",
    "runner/tracking/test_program.py",
    "strategies/test_persistent_direction.py",
    "strategies/test_contracts.py",
    "test_notebook.py",
    "runner/test_search.py",
    "engine/test_lost_engine.py",
    "engine/test_cluster.py",
    "cli/test_program.py",
    "deployment/test_superlinks.py",
    "strategies/test_group_test.py",
    "runner/test_text.py",
    "strategies/test_flower_app.py",
    "engine/test_plain_app.py",
    "federation/test_proxy_clients.py",
)
"""Files that take long, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long: with ``-n`` the processes then end at about the same time."""
    places = {REPOSITORY / "tests" / name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path, len(LONG)))


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Have PyTorch start no threads: the steps of tests are so small that they would wait for each other."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(scope="session")
def finished_sweep(tmp_path_factory: pytest.TempPathFactory) -> "Sweep":
    """A multirun of two runs, and what it printed; nobody may change it."""
    from tests.runner import finished_sweep

    return finished_sweep.finished_sweep(tmp_path_factory)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder with real data: FL_BACKDOOR_DATA, otherwise ``shared/data`` beside the repository."""
    root = Path(os.environ.get("FL_BACKDOOR_DATA") or REPOSITORY.parent / "shared" / "data")
    if not root.is_dir():
        pytest.skip(f"no data in {root}; set FL_BACKDOOR_DATA")
    return root
