"""Every experiment file composes, passes all checks, and is what its name says."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

import conf
from fl_backdoor.config.schema import parse_whole
from fl_backdoor.federation.context import ExperimentContext
from fl_backdoor.federation.proxy_clients import ProxyClients
from fl_backdoor.federation.server_app import build_strategy, courier_of
from fl_backdoor.runner.checks import check
from fl_backdoor.runner.composition import composed
from tests.made_sentences import write_sst2

FOLDER = Path(conf.__file__).parent / "experiment"
EXPERIMENTS = sorted(
    str(file.relative_to(FOLDER).with_suffix(""))
    for file in (FOLDER / "article").rglob("*.yaml")
    if not file.name.startswith("_")
)
STRATEGIES = {
    "article/fedavg": "FedAvg",
    "article/clean": "FedAvg",
    "article/iqr_filter": "IQRFilter",
    "article/clip_avg": "ClipAvg",
    "article/hybrid": "Hybrid",
    "article/amplified": "FedAvg",
}


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_an_experiment_composes_and_passes_all_checks(experiment, data_root):
    overrides = [f"experiment={experiment}", f"dataset.root={data_root}"]
    [config] = [parse_whole(plain)[0] for plain in composed(overrides)]
    assert check(config).config.dataset["_target_"] == "fl_backdoor.data.cifar10.Cifar10"
    assert config.strategy["_target_"].endswith(f".{STRATEGIES[experiment]}")
    assert config.attack.trigger_space == "normalized"


def test_no_experiment_is_left_out():
    assert set(EXPERIMENTS) == set(STRATEGIES)


@pytest.mark.parametrize("experiment", ["fedavg", "iqr_filter", "clip_avg", "hybrid"])
def test_the_articles_defences_differ_in_the_strategy_alone(experiment):
    [wanted] = composed([f"experiment=article/{experiment}"])
    [fedavg] = composed(["experiment=article/fedavg"])
    assert {key for key in wanted if wanted[key] != fedavg[key]} <= {"strategy"}
    assert (wanted["attack"]["alpha"], wanted["attack"]["num_malicious"]) == (0.052, 3)
    assert (wanted["partition"]["num_clients"], wanted["num_rounds"]) == (10, 16)


def test_text_is_backdoored_by_a_word_into_positive_reviews(tmp_path):
    text = [
        "experiment=sst2",
        f"dataset.root={write_sst2(tmp_path)}",
        f"dataset.cache={tmp_path / 'cache'}",
    ]
    config = check(parse_whole(next(composed(text)))[0]).config
    names = [spec["_target_"].rpartition(".")[2] for spec in (config.dataset, config.model)]
    assert [*names, config.attack.trigger["words"]] == ["Sst2", "MeanEmbedding", "cf"]
    assert (config.attack.num_malicious, config.attack.target_label, config.num_rounds) == (3, 1, 30)


@pytest.mark.parametrize("num_malicious", [1, 10])
def test_many_clients_are_a_hundred_of_whom_ten_are_drawn(num_malicious, data_root):
    text = ["experiment=many_clients", f"dataset.root={data_root}", f"attack.num_malicious={num_malicious}"]
    config = check(parse_whole(next(composed(text)))[0]).config
    assert (config.partition.num_clients, config.participants_per_round, config.num_rounds) == (100, 10, 100)
    assert config.attack.num_malicious == num_malicious
    assert 1 <= config.attack.last_round < config.num_rounds, "durability needs rounds without attack"


NO_DEFENCES = {"chain", "flower", "fed_adam", "fed_avgm", "fed_yogi", "bucketing", "sparsification"}
"""Strategies that hold nothing by themselves: what they are made of stands beside them, or follows them."""


def test_the_arena_has_every_defence_and_each_can_work_there():
    folder, arena = FOLDER.parent / "strategy", FOLDER / "arena" / "defences.yaml"
    swept = yaml.safe_load(arena.read_text())["hydra"]["sweeper"]["params"]
    defences = [name.strip() for name in swept["strategy"].split(",")]
    # Bulyan is told another f there than its file has, DeepSight shows fewer images and BackdoorIndicator
    # trains on them for fewer epochs: commands of their own.
    defences += ["bulyan", "deepsight", "backdoor_indicator"]
    assert sorted(defences) == sorted({file.stem for file in folder.glob("*.yaml")} - NO_DEFENCES)
    arena_of_fedavg = parse_whole(next(composed(["experiment=arena/defences", "attack=patch"])))[0]
    layout, sizes = ExperimentContext(arena_of_fedavg).layout, (260,) * 15
    for name in defences:
        # Composing each would take half a minute; oracles' client ids are all that is filled in then.
        told = {"bulyan": {"num_malicious": 3}, "benign_alone": {"client_ids": [0, 1, 2]}}.get(name, {})
        strategy = yaml.safe_load((folder / f"{name}.yaml").read_text()) | told
        config = replace(arena_of_fedavg, strategy=strategy)
        build_strategy(config, layout, sizes, ProxyClients(config, sizes), courier_of(config))


@pytest.mark.parametrize("name", ["none", "backdoor", "patch", "a3fl", "dba", "amplified"])
def test_the_arenas_attacks_are_what_their_names_say(name):
    attack = next(composed(["experiment=arena/defences", f"attack={name}"]))["attack"]
    trigger = attack["trigger"]["_target_"].rpartition(".")[2]
    told = (trigger, attack["alpha"], attack["num_malicious"], attack["boost_factor"])
    assert (
        told
        == {
            "none": ("Bar", 0, 0, 1),
            "backdoor": ("Bar", 0.052, 3, 1),
            "patch": ("Patch", 0.3, 3, 1),
            "a3fl": ("A3FL", 0.3, 3, 1),
            "dba": ("Distributed", 0.3, 3, 1),
            "amplified": ("Bar", 0.3, 1, 10),
        }[name]
    )
