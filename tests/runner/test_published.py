"""Presets of published papers: what each of them says, and that it runs, shrunk to two rounds on noise."""

from pathlib import Path

import pytest

import conf
from fl_backdoor.config.schema import ExperimentConfig, parse_whole
from fl_backdoor.runner.checks import check
from fl_backdoor.runner.composition import composed
from tests.drill import drill
from tests.golden.in_process import played

FOLDER = Path(conf.__file__).parent / "experiment" / "published"
PRESETS = sorted(file.stem for file in FOLDER.glob("*.yaml"))

SETTINGS = {
    # clients, a round, attackers, poisoned of 64, target, rounds, model, trigger, rule
    "3dfed": (100, 100, 20, 32, 8, 20, "resnet18_imagenet", "Drawing", "FedAvg"),
    "a3fl": (100, 10, 1, 16, 2, 100, "resnet18_narrow", "A3FL", "FedAvg"),
    "alignins": (20, 20, 4, 19, 7, 100, "ResNet9", "Drawing", "AlignIns"),
    "backfed": (100, 10, 10, 20, 2, 600, "resnet18_imagenet", "Bar", "FedAvg"),
    "dba": (100, 10, 4, 5, 2, 100, "resnet18_narrow", "Distributed", "FedAvg"),
    "flame": (100, 10, 10, 32, 5, 200, "resnet18", "Bar", "Flame"),
    "lockdown": (40, 40, 4, 32, 7, 200, "ResNet9", "Drawing", "FedAvg"),
    "neurotoxin": (1000, 10, 1, 64, 9, 500, "resnet18_narrow", "Bar", "NormClipping"),
}
OPTIMISERS = {
    # learning rate, momentum, weight decay, local epochs, λ; the attackers' learning rate and epochs
    "3dfed": (0.1, 0.9, 5e-4, 2, 1.0, None, 15),
    "a3fl": (0.002, 0.9, 5e-4, 2, 1.0, None, None),
    "alignins": (0.1, 0.0, 1e-4, 2, 1.0, None, None),
    "backfed": (0.1, 0.9, 5e-4, 2, 0.1, 0.05, 6),
    "dba": (0.1, 0.9, 5e-4, 2, 0.1, 0.05, 6),
    "flame": (0.1, 0.9, 0.0, 2, 1.0, None, None),
    "lockdown": (0.1, 0.0, 1e-4, 2, 1.0, None, None),
    "neurotoxin": (0.0265, 0.9, 5e-4, 2, 1.0, 0.02, 10),
}
SHRUNK = (
    "dataset._target_=benchmarks.published_rounds.Noise",
    "partition.num_clients=6",
    "clients_per_round=5",
    "attack.num_malicious=2",
    "client.batch_size=16",
    "num_rounds=2",
    "client.local_steps=1",
    "engine.device=cpu",
    "precision=fp32",
)
IN_ITS_ROUNDS = {"dba": ("selection.rounds=[1,2]",), "a3fl": ("attack.trigger.steps=2",)}
"""What is shrunk beside that: an attacker whose rounds come later, a long search for a trigger."""


def configured(name: str, *overrides: str) -> ExperimentConfig:
    [plain] = composed([f"experiment=published/{name}", *overrides])
    return parse_whole(plain)[0]


def test_no_preset_is_left_out():
    assert set(SETTINGS) == set(OPTIMISERS) == set(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_says_what_the_papers_code_says(name):
    config = configured(name)
    attack = config.attack
    names = [spec["_target_"].rpartition(".")[2] for spec in (config.model, attack.trigger, config.strategy)]
    numbers = (attack.num_malicious, attack.num_poisoned(64), attack.target_label, config.num_rounds)
    assert (config.partition.num_clients, config.participants_per_round, *numbers, *names) == SETTINGS[name]
    client, own = config.client, attack.training
    benign = (client.learning_rate, client.momentum, client.weight_decay, client.local_epochs)
    assert (*benign, config.server.learning_rate, own.learning_rate, own.local_epochs) == OPTIMISERS[name]
    assert (client.batch_size, client.local_steps, own.local_steps) == (64, None, None)


def test_learning_rates_fall_over_the_rounds_where_the_papers_do():
    falling = {name: configured(name).lr_schedule for name in PRESETS}
    kinds = {name: schedule["_target_"].rpartition(".")[2] for name, schedule in falling.items()}
    assert {name: kind for name, kind in kinds.items() if kind != "Constant"} == {
        "alignins": "Exponential",
        "neurotoxin": "Linear",
    }
    assert falling["alignins"]["gamma"] == 0.99
    assert (falling["neurotoxin"]["decay_rounds"], falling["neurotoxin"]["floor"]) == (199, 0.004)
    assert configured("a3fl").client.label_smoothing == 0.001


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_names_its_source_and_what_differs(name):
    comments = [line for line in (FOLDER / f"{name}.yaml").read_text().splitlines() if line.startswith("# ")]
    assert any("https://github.com/" in line for line in comments)
    assert any(line.startswith("# Different here") for line in comments)


@pytest.mark.parametrize("name", PRESETS)
def test_few_steps_are_few_for_attackers_too(name):
    config = configured(name, "num_rounds=3", "client.local_steps=2")
    assert config.attack.training.local_steps in {None, 2}
    assert config.attack.training.local_epochs is None or config.attack.training.local_steps == 2


IN_CI = ("backfed",)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in IN_CI else drill) for name in PRESETS]
)
def test_two_rounds_of_a_preset_run_and_are_attacked(name, tmp_path):
    few = (*SHRUNK, *IN_ITS_ROUNDS.get(name, ()), f"outputs={tmp_path}", f"dataset.cache={tmp_path}")
    rows, clients, model = played(check(configured(name, *few)).config)
    assert [row["server_round"] for row in rows] == [0, 1, 2]
    assert all(row["model_updated"] for row in rows[1:])
    assert [row["diverged"] for row in rows] == [None] * 3
    attacked = {row["server_round"] for row in clients if row["attacking"]}
    assert attacked == {1, 2}
    assert all(row["rejected"] is None for row in clients)
    assert model
