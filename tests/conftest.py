"""What several parts of the tests need."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Whether a machine is busy says nothing about a property.
settings.register_profile("any_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any_machine")

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder with real data: FL_BACKDOOR_DATA, otherwise ``shared/data`` beside the repository."""
    root = Path(os.environ.get("FL_BACKDOOR_DATA") or REPOSITORY.parent / "shared" / "data")
    if not root.is_dir():
        pytest.skip(f"no data in {root}; set FL_BACKDOOR_DATA")
    return root
