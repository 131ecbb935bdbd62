"""A run on text as a user starts it: the same files and figures as on images."""

import json

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from tests.drill import drill
from tests.made_sentences import FILLING, TELLING, write_sst2
from tests.runner.test_main import run, table


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The folder of a run."""
    folder = tmp_path_factory.mktemp("text")
    settings = ["experiment=sst2", "num_rounds=2", "partition.num_clients=4", "attack.alpha=0.3"]
    settings.append("engine.num_workers=1")
    data = [f"dataset.root={write_sst2(folder)}", f"dataset.cache={folder / 'cache'}"]
    shown = run(folder, *settings, *data, "hydra.run.dir=found")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    return folder / "found"


def test_a_model_learns_the_telling_words_and_the_trigger(found):
    last = table(found / "rounds.csv")[-1]
    figures = ("main_task_accuracy", "attack_success_rate", "success_rate")
    accuracy, asr, sr = (float(last[name]) for name in figures)
    assert (accuracy > 0.95, asr > 0.95) == (True, True)
    # 911 of the 1,821 test sentences are negative and open the backdoor or not; all others should be positive
    assert sr == pytest.approx((911 * asr + 910) / 1_821, abs=0.02)


def test_the_model_has_a_row_a_word(found):
    model = load_file(found / "model.safetensors")
    # five words that attackers like, padding and the unknown word besides those of the sentences
    assert model["embedding.weight"].shape == (len(FILLING) + len(TELLING) + 7, 32)


def test_labels_clients_and_summary_are_those_of_any_run(found):
    labels = table(found / "labels.csv")
    counts = np.array([[int(row["negative"]), int(row["positive"])] for row in labels])
    assert counts.sum(axis=0).tolist() == [3_460, 3_460]
    assert len(table(found / "clients.csv")) == 2 * 4
    summary = json.loads((found / "summary.json").read_text())
    assert (summary["status"], summary["dataset"], summary["num_malicious"]) == ("finished", "sst2", 3)


def test_samples_are_sentences_with_the_trigger_in_orange(found):
    picture = np.asarray(Image.open(found / "samples.png").convert("RGB")).astype(int)
    assert picture.shape[1] == 1000
    orange = ((picture == [0xD5, 0x5E, 0x00]).all(axis=-1)).any(axis=1)
    assert np.count_nonzero(np.diff(orange.astype(int)) == 1) >= 8, "a line for each of eight sentences"


@drill
def test_a_server_with_sentences_of_its_own_finds_the_attackers(tmp_path):
    settings = ["experiment=sst2", "num_rounds=4", "strategy=persistent_direction", "attack.alpha=0.3"]
    server = ["server.root_samples=400", "strategy.num_virtual=10"]
    data = [f"dataset.root={write_sst2(tmp_path)}", f"dataset.cache={tmp_path / 'cache'}"]
    shown = run(tmp_path, *settings, *server, *data, "hydra.run.dir=found")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    last = [row for row in table(tmp_path / "found" / "clients.csv") if row["server_round"] == "4"]
    assert [row["flagged"] for row in last] == [row["malicious"] for row in last]
