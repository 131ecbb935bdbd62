"""The code that docs/library.md prints runs, block after block, in an app that is somebody else's."""

import re
from textwrap import dedent

import numpy as np
import pytest
import torch
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.client import NumPyClient
from flwr.clientapp import ClientApp
from flwr.supercore.task_identity import TaskIdentity
from torch.utils.data import DataLoader, TensorDataset

from strategies import PersistentDirection
from tests.documents.commands import REPOSITORY
from tests.strategies.flower_app import InProcess

TEXT = (REPOSITORY / "docs" / "library.md").read_text(encoding="utf-8")
BLOCKS = [
    dedent(block)
    for block in re.findall(r"^(?: {4}.*\n|\n(?= {4}|\n))+", TEXT, re.MULTILINE)
    if "import" in block or "=" in block
]


def model():
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))


def record(*numbers):
    return ArrayRecord({"weight": Array(np.float32(numbers))})


def ordinary_app(step):
    made = ClientApp()

    @made.train()
    def train(message, context):
        weight = message.content["arrays"]["weight"].numpy()
        metrics = MetricRecord({"num-examples": 1})
        return Message(RecordDict({"a": record(*(weight + step)), "m": metrics}), reply_to=message)

    return made


class Moving(InProcess):
    """Nodes that move every array, and report their steps."""

    def __init__(self):
        super().__init__([1.0] * 9, lambda place: {"num-steps": 1})


def somebodys():
    """Return what the blocks take as given: names of somebody else's app."""
    grid, first, begun = Moving(), ArrayRecord(model().state_dict()), PersistentDirection()
    begun.start(grid, first, num_rounds=10)
    test = TensorDataset(torch.rand(50, 1, 28, 28), torch.arange(50) % 10)
    return {
        "np": np,
        "model": model(),
        "grid": grid,
        "arrays": first,
        "PersistentDirection": PersistentDirection,
        "strategy": begun,
        "honest_app": ordinary_app(1.0),
        "poisoned_app": ordinary_app(2.0),
        "trained": [np.float32([3.0])],
        "received": [np.float32([1.0])],
        "trained_record": record(3.0, 1.0),
        "received_record": record(1.0, 1.0),
        "test_loader": DataLoader(test, 20),
    }


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """What stands in the names of all blocks after they have run."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_run_id", "_node_id", "_task_id"):
            patch.setattr(TaskIdentity, name, 1)
        patch.chdir(tmp_path_factory.mktemp("library"))
        names = somebodys()
        for block in BLOCKS:
            exec(compile(block, "docs/library.md", "exec"), names)
        names["main"](names["grid"], Context(1, 0, {}, RecordDict(), {}))
    return names


def test_every_block_of_the_document_is_here():
    assert [sum(word in block for block in BLOCKS) for word in ("import Hybrid", "savez", "Poisoned")] == [
        1
    ] * 3
    assert len(BLOCKS) == TEXT.count(":\n\n    ") + TEXT.count(".\n\n    ")


def test_a_strategy_runs_and_goes_on_after_its_state(done):
    assert done["strategy"].outcome.server_round == 15


def test_three_of_ten_samples_are_poisoned(done):
    stamped = [
        index for index in range(100) if not torch.equal(done["poisoned"][index][0], done["digits"][index][0])
    ]
    assert len(stamped) == 30
    assert {int(done["poisoned"][index][1]) for index in stamped} == {0}
    own, whole = (done[name].stamp(torch.zeros(1, 3, 32, 32)) != 0 for name in ("own", "whole"))
    assert 0 < own.sum() < whole.sum()


def test_the_wrapped_client_is_malicious_from_round_three_on(done):
    client = done["client_fn"](Context(1, 3, {"partition-id": 0}, RecordDict(), {})).numpy_client
    assert isinstance(client, NumPyClient)
    first = [np.zeros((784, 10), np.float32), np.zeros(10, np.float32)]
    lengths = [np.linalg.norm(client.fit(first, {"server-round": number})[0][0]) for number in (2, 3)]
    assert lengths[1] > 3 * lengths[0]


def test_the_wrapped_app_and_the_bare_functions_change_updates(done):
    assert done["app"].partition_ids == [0, 1]
    assert [array.tolist() for array in done["sent"]] == [[11.0]]
    moved = done["record"]["weight"].numpy() - [3.0, 1.0]
    assert np.linalg.norm(moved) == pytest.approx(0.5 * 2.0, rel=1e-5)


def test_all_figures_are_the_same_ones(done):
    figures = done["figures"]
    assert (done["asr"], done["sr"]) == (figures.attack_success_rate, figures.success_rate)
    assert 0 <= figures.main_task_accuracy <= 1
