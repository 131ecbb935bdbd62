"""The drills that need nothing, in small."""

import logging

import pytest
from flwr.supercore.task_identity import TaskIdentity

from benchmarks.drills import replies
from benchmarks.drills.outcome import Options


@pytest.fixture(autouse=True)
def nothing_stays_behind(monkeypatch):
    for name in ("_run_id", "_node_id", "_task_id"):
        monkeypatch.setattr(TaskIdentity, name, None)
    before = logging.getLogger("flwr").level
    yield
    logging.getLogger("flwr").setLevel(before)


def test_hostile_replies_cost_their_senders_their_places_and_nothing_else():
    (outcome,) = replies.outcomes(["fuzz_replies"], Options(seed=1, tries=400))
    assert list(outcome.lost) == []
    # Enough of them get as far as to be refused.
    assert outcome.details["refused"] > 200
