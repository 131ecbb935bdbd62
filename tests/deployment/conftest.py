"""An authority, and a SuperLink that goes by its certificates."""

import pytest

from fl_backdoor.engine.deployment import authority
from fl_backdoor.engine.deployment.instructions import superlink_flags
from tests.deployment.superlinks import SuperLink

NUM_NODES = 4


@pytest.fixture(scope="session")
def certs(tmp_path_factory):
    """The folder of an authority for this machine, with four nodes' keys."""
    folder = tmp_path_factory.mktemp("authority") / "certs"
    authority.create(folder, ["localhost"], NUM_NODES, days=1)
    return folder


@pytest.fixture(scope="session")
def secured(certs, tmp_path_factory):
    """A SuperLink with TLS, known nodes and a secret, started as the instructions say."""
    with SuperLink(superlink_flags(certs), tmp_path_factory.mktemp("superlink")) as superlink:
        yield superlink
