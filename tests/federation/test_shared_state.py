"""What malicious clients share over the rounds of a run, in one process."""

import threading

import numpy as np
import pytest

from fl_backdoor.attacks.shared_state import PREVIOUS_MODEL, unpacked
from fl_backdoor.federation.grid import StoppableGrid
from fl_backdoor.federation.server_app import Experiment
from fl_backdoor.runs.checkpoint import Checkpoint, Progress
from tests.golden.in_process import InProcessGrid, configured


@pytest.fixture(scope="module")
def settings():
    return configured("attack=neurotoxin", "attack.alpha=0.5", "partition.num_clients=4", "num_rounds=3")


def made(settings, after=None):
    """The state after each round that is made, and the experiment."""
    experiment, states = Experiment(settings), {}

    def on_round(finished):
        server_round = finished.row["server_round"]
        model = {name: array.copy() for name, array in experiment.model().items()}
        progress = Progress(server_round, {}, "", 0)
        states[server_round] = Checkpoint(progress, model, finished.strategy, finished.shared_state)

    experiment.run(StoppableGrid(InProcessGrid(), threading.Event(), 0), on_round, after)
    return states, experiment


def test_the_model_before_is_known_in_the_next_round_and_after_a_run_goes_on(settings):
    whole, experiment = made(settings)
    layout = experiment.context.layout
    assert whole[0].shared_state == b""
    for number in (1, 2, 3):
        arrays = [whole[number - 1].model[tensor.name] for tensor in layout.tensors]
        known = unpacked(whole[number].shared_state)[PREVIOUS_MODEL]
        assert np.array_equal(known, layout.vector(arrays)), "what the attackers were sent in that round"
    resumed, _ = made(settings, after=whole[2])
    assert list(resumed) == [3]
    assert all(np.array_equal(resumed[3].model[name], array) for name, array in whole[3].model.items())
    forgetful, _ = made(settings, after=Checkpoint(whole[2].progress, whole[2].model, whole[2].strategy))
    assert any(not np.array_equal(forgetful[3].model[name], array) for name, array in whole[3].model.items())
