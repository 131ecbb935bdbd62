import json
import random

import numpy as np
import pytest
from safetensors.numpy import save

from fl_backdoor.attacks.shared_state import unpacked
from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.core.growing import prefix_of
from fl_backdoor.runs import checkpoint
from fl_backdoor.runs.checkpoint import Checkpoint, Progress

KEY = "0123456789abcdef"


FILES = {
    "config.yaml": b"seed: 0\n",
    "labels.csv": b"client_id,a\n0,5\n",
    "clients.csv": b"server_round,client_id\n1,0\n",
    "rounds.csv": b"server_round\n0\n1\n",
}


def state(server_round):
    model = {"layer.weight": np.full((2, 3), server_round, np.float32), "steps": np.array(server_round)}
    files = {name: prefix_of(content) for name, content in FILES.items()}
    progress = Progress(server_round, files, "2026-01-01T00:00:00+00:00", 12.5)
    return Checkpoint(progress, model, {"sums/of": np.arange(3.0) * server_round}, b"\x00\xff")


@pytest.fixture
def run_folder(tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    checkpoint.save(tmp_path, KEY, state(3))
    return tmp_path


def test_what_is_saved_comes_back_bit_for_bit(run_folder):
    found, wanted = checkpoint.load(run_folder, KEY), state(3)
    assert found.progress == wanted.progress
    assert found.shared_state == wanted.shared_state
    for found_arrays, wanted_arrays in ((found.model, wanted.model), (found.strategy, wanted.strategy)):
        assert found_arrays.keys() == wanted_arrays.keys()
        for name, array in wanted_arrays.items():
            assert found_arrays[name].dtype == array.dtype
            assert np.array_equal(found_arrays[name], array)


def test_what_a_trigger_had_learnt_in_an_older_version_is_read():
    learnt = np.array([0.25, 0.5], dtype=np.float32)
    older = {"model/bias": np.zeros(2, np.float32), "attack/notes": learnt.view(np.uint8)}
    model, _, shared_state = checkpoint._groups(save(older))
    assert list(model) == ["bias"]
    assert unpacked(shared_state)["trigger"].tolist() == [0.25, 0.5]


def test_only_the_last_round_is_kept(run_folder):
    checkpoint.save(run_folder, KEY, state(4))
    assert checkpoint.load(run_folder, KEY).progress.server_round == 4
    names = {path.name for path in (run_folder / "checkpoint").iterdir()}
    assert names == {"checkpoint.json", "round-4.safetensors"}


def test_before_the_first_there_is_none_and_afterwards_it_can_be_removed(run_folder, tmp_path):
    assert checkpoint.load(tmp_path / "other", KEY) is None
    checkpoint.remove(run_folder)
    assert {path.name for path in run_folder.iterdir()} == FILES.keys()


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
        (lambda folder: (folder / "checkpoint.json").write_text("[" * 100_000), "is torn"),
        (
            lambda folder: (folder / "round-3.safetensors").unlink(),
            "round-3.safetensors cannot be read: No such",
        ),
        *(
            (
                lambda folder, name=name: (folder.parent / name).unlink(),
                f"{name} cannot be read: No such file",
            )
            for name in FILES
        ),
        (
            lambda folder: (folder.parent / "labels.csv").write_bytes(FILES["labels.csv"] + b"1,5\n"),
            "labels.csv is",
        ),
        (lambda folder: (folder.parent / "rounds.csv").write_bytes(b"server_"), "7 bytes are left of 17"),
        (
            lambda folder: (folder / "round-3.safetensors").write_bytes(b"x" * 50),
            "bytes are left of",
        ),
        (lambda folder: _change(folder, key="f" * 16), "belongs to another experiment"),
        (
            lambda folder: _change(folder, format=1),
            "is of format 1, this version reads 2: go on with the version",
        ),
        (lambda folder: _change(folder, tensors=None), "is torn"),
        (lambda folder: _change(folder, progress=[]), "is torn"),
        (lambda folder: _change_progress(folder, surprise=2), "is torn"),
        (lambda folder: _change_progress(folder, server_round="3"), "is torn"),
        (lambda folder: _change_progress(folder, wall_seconds="long"), "is torn"),
        (lambda folder: _change_progress(folder, started_at="at noon"), "is torn"),
        (lambda folder: _change_progress(folder, files={"rounds.csv": 1}), "is torn"),
    ],
)
def test_a_torn_or_foreign_one_is_refused_in_one_line(run_folder, damage, message):
    damage(run_folder / "checkpoint")
    with pytest.raises(FlBackdoorError, match=message) as refused:
        checkpoint.load(run_folder, KEY)
    assert "\n" not in str(refused.value)


def _change(folder, **entries):
    """Write other values with a digest that fits them."""
    file = folder / "checkpoint.json"
    before = json.loads(file.read_text())
    del before["sha256"]
    file.write_bytes(checkpoint.signed(before | entries))


def _change_progress(folder, **entries):
    before = json.loads((folder / "checkpoint.json").read_text())["progress"]
    _change(folder, progress=before | entries)


def _flipped(content, bit):
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_any_flipped_bit_is_refused(run_folder):
    """Every bit of the file that speaks of the others and of the small ones, and some of the model's."""
    draw = random.Random(0)
    for name in (*FILES, "checkpoint/checkpoint.json", "checkpoint/round-3.safetensors"):
        file = run_folder / name
        content = file.read_bytes()
        bits = range(8 * len(content))
        for bit in draw.sample(bits, 200) if file.suffix == ".safetensors" else bits:
            file.write_bytes(_flipped(content, bit))
            with pytest.raises(FlBackdoorError) as refused:
                checkpoint.load(run_folder, KEY)
            assert "\n" not in str(refused.value)
        file.write_bytes(content)
    assert checkpoint.load(run_folder, KEY) is not None


def test_what_tables_hold_beyond_it_is_no_damage(run_folder):
    for name in ("rounds.csv", "clients.csv"):
        (run_folder / name).write_bytes(FILES[name] + b"2,0\n3,")
    assert checkpoint.load(run_folder, KEY) is not None
