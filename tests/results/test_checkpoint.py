import json

import numpy as np
import pytest

from fl_backdoor.errors import FlBackdoorError
from fl_backdoor.results import checkpoint
from fl_backdoor.results.checkpoint import Checkpoint, Progress

KEY = "0123456789abcdef"


def state(server_round):
    model = {"layer.weight": np.full((2, 3), server_round, np.float32), "steps": np.array(server_round)}
    progress = Progress(server_round, 100, 200, "2026-01-01T00:00:00+00:00", 12.5)
    return Checkpoint(progress, model, {"sums/of": np.arange(3.0) * server_round}, b"\x00\xff")


@pytest.fixture
def run_folder(tmp_path):
    checkpoint.save(tmp_path, KEY, state(3))
    return tmp_path


def test_what_is_saved_comes_back_bit_for_bit(run_folder):
    found, wanted = checkpoint.load(run_folder, KEY), state(3)
    assert found.progress == wanted.progress
    assert found.notes == wanted.notes
    for found_arrays, wanted_arrays in ((found.model, wanted.model), (found.strategy, wanted.strategy)):
        assert found_arrays.keys() == wanted_arrays.keys()
        for name, array in wanted_arrays.items():
            assert found_arrays[name].dtype == array.dtype
            assert np.array_equal(found_arrays[name], array)


def test_only_the_last_round_is_kept(run_folder):
    checkpoint.save(run_folder, KEY, state(4))
    assert checkpoint.load(run_folder, KEY).progress.server_round == 4
    names = {path.name for path in (run_folder / "checkpoint").iterdir()}
    assert names == {"checkpoint.json", "round-4.safetensors"}


def test_before_the_first_there_is_none_and_afterwards_it_can_be_removed(run_folder, tmp_path):
    assert checkpoint.load(tmp_path / "other", KEY) is None
    checkpoint.remove(run_folder)
    assert list(run_folder.iterdir()) == []


def test_a_write_that_was_cut_off_leaves_the_round_before_it(run_folder, monkeypatch):
    """The power goes after the model is written, before the file that speaks of it is."""

    def cut_off(path, content):
        if path.name == "checkpoint.json":
            raise FlBackdoorError("no power")
        path.write_bytes(content)

    monkeypatch.setattr(checkpoint.files, "replace", cut_off)
    with pytest.raises(FlBackdoorError, match="no power"):
        checkpoint.save(run_folder, KEY, state(4))
    assert checkpoint.load(run_folder, KEY).progress.server_round == 3


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "checkpoint.json").write_text('{"format": 1, '), "is torn"),
        (lambda folder: (folder / "checkpoint.json").write_text("[]"), "is torn"),
        (lambda folder: (folder / "round-3.safetensors").unlink(), "is torn"),
        (
            lambda folder: (folder / "round-3.safetensors").write_bytes(b"x" * 50),
            "not the one that it speaks of",
        ),
        (lambda folder: _change(folder, key="f" * 16), "belongs to another experiment"),
        (lambda folder: _change(folder, format=2), "is not of format 1"),
        (lambda folder: _change(folder, surprise=2), "is torn"),
    ],
)
def test_a_torn_or_foreign_one_is_refused_in_one_line(run_folder, damage, message):
    damage(run_folder / "checkpoint")
    with pytest.raises(FlBackdoorError, match=message) as refused:
        checkpoint.load(run_folder, KEY)
    assert "\n" not in str(refused.value)


def _change(folder, **told):
    file = folder / "checkpoint.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | told))
