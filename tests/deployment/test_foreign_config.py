"""What a node takes from a configuration that came over the network."""

from dataclasses import replace
from functools import cache
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pytest
import yaml
from flwr.app import ArrayRecord, Context, Message, MessageType, Metadata, RecordDict

import fl_backdoor
from fl_backdoor.config.schema import TrainingConfig, parse_whole
from fl_backdoor.core import plugins
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.federation.client_app import app
from fl_backdoor.federation.foreign_config import accept, installed_plugins
from fl_backdoor.federation.hosting import Hosting
from fl_backdoor.federation.invitation import Invitation, pack_invitation, unpack_answer
from fl_backdoor.federation.messages import TrainTask, pack_task
from fl_backdoor.runner.composition import composed

CONF = Path(__file__).parents[2] / "conf"
ON_NODES = (
    *("dataset", "model", "partition", "client", "attack", "attack/trigger", "attack/poisoning"),
    *("attack/training", "attack/training/objective", "attack/training/constraint", "augmentation"),
)


@cache
def config(*overrides):
    return parse_whole(next(composed(["dataset=mnist5k", *overrides])))[0]


CHOICES = [[f"{group}={file.stem}" for file in sorted((CONF / group).glob("*.yaml"))] for group in ON_NODES]


@pytest.mark.parametrize(
    "choices", list(zip_longest(*CHOICES)), ids=lambda choices: " ".join(filter(None, choices))
)
def test_every_choice_of_the_installation_is_taken(choices):
    """One of each group at a time, as far as a group has so many."""
    wanted = config(*filter(None, choices))
    assert accept(wanted) == replace(wanted, dataset={**wanted.dataset, "root": None, "cache": None})


def test_manipulations_are_taken_by_name():
    wanted = config("attack.updates=[scaling,noise,imitation,shifting,split]")
    assert accept(wanted).attack == wanted.attack


ATTACKS = [
    {"_target_": "os.system", "command": "true"},
    {"_target_": "subprocess.Popen", "args": ["true"]},
    {"_target_": "shutil.rmtree", "path": "/nowhere"},
    {"_target_": "builtins.exec"},
    # Names of the project that lead out of it, or to what is no plug-in.
    {"_target_": "fl_backdoor.data.dataset.os.system", "command": "true"},
    {"_target_": "fl_backdoor.data.dataset:os.system", "command": "true"},
    {"_target_": "fl_backdoor.core.files.replace", "path": "/nowhere", "content": ""},
    {"_target_": "strategies.FedAvg"},
    {"_target_": None},
    {"_target_": ["os.system"]},
]


@pytest.mark.parametrize("spec", ATTACKS, ids=lambda spec: str(spec["_target_"]))
@pytest.mark.parametrize("key", ["dataset", "model", "attack.trigger", "partition.partitioner"])
def test_nothing_else_is_called(key, spec):
    sent = config()
    if key == "attack.trigger":
        sent = replace(sent, attack=replace(sent.attack, trigger=spec))
    elif key == "partition.partitioner":
        sent = replace(sent, partition=replace(sent.partition, partitioner=spec))
    else:
        sent = replace(sent, **{key: spec})
    with pytest.raises(ConfigError, match="not installed on this node") as refused:
        accept(sent)
    assert (refused.value.key, refused.value.value) == (f"{key}._target_", spec["_target_"])


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("attack.poisoning", {"poisoning": ATTACKS[0]}),
        ("attack.client", {"client": ATTACKS[0]}),
        ("attack.update.noise", {"updates": ["noise"], "update": {"noise": ATTACKS[0]}}),
        ("attack.training.constraint", {"training": TrainingConfig(constraint=ATTACKS[0])}),
        ("attack.training.objective", {"training": TrainingConfig(objective=ATTACKS[0])}),
    ],
)
def test_no_part_of_an_attack_is_anything_else(key, change):
    sent = replace(config(), attack=replace(config().attack, **change))
    with pytest.raises(ConfigError, match=rf"^{key}\._target_ = os\.system: not installed on this node"):
        accept(sent)


def test_no_augmentation_is_anything_else():
    sent = config("augmentation=flip")
    sent = replace(sent, augmentation=replace(sent.augmentation, step={"flip": ATTACKS[0]}))
    with pytest.raises(ConfigError, match=r"^augmentation\.step\.flip\._target_ = os\.system: not installed"):
        accept(sent)


def test_no_client_is_anything_else():
    sent = replace(config(), client=replace(config().client, _target_="os.system"))
    with pytest.raises(ConfigError, match=r"^client\._target_ = os\.system: not installed on this node"):
        accept(sent)


@pytest.mark.parametrize("nested", [{"inner": ATTACKS[0]}, {"inner": [{"deeper": ATTACKS[0]}]}])
def test_what_is_nested_is_found(nested):
    sent = config()
    sent = replace(sent, dataset={**sent.dataset, **nested})
    with pytest.raises(ConfigError, match=r"^dataset\.inner.*\._target_ = os\.system: not installed"):
        accept(sent)


@pytest.mark.parametrize(("dataset", "key"), [("image_folder", "folder"), ("huggingface", "path")])
def test_no_data_outside_the_nodes_own_folder_are_read(dataset, key):
    wanted = config(f"dataset={dataset}", f"dataset.{key}=lab/pets")
    assert accept(wanted).dataset == {**wanted.dataset, "root": None, "cache": None}
    for place in ("/home/me/photos", "~/photos", "../photos", "pets/../../photos"):
        with pytest.raises(ConfigError, match=rf"^dataset\.{key} = {place}: must lie in this node's own"):
            accept(replace(wanted, dataset={**wanted.dataset, key: place}))


def test_without_this_check_the_configuration_runs_any_command(tmp_path):
    plugins.build({"_target_": "os.system", "command": f"touch {tmp_path}/done"}, "dataset")
    assert (tmp_path / "done").exists()


def test_the_server_s_own_plugins_need_not_be_installed():
    sent = replace(
        config(), strategy={"_target_": "their.own.Defence"}, tracking={"_target_": "their.Tracker"}
    )
    assert accept(sent).strategy == sent.strategy


def test_folders_are_this_machine_s_own():
    sent = config("dataset.root=/etc", "dataset.cache=/etc", "dataset.download=false")
    taken = accept(sent).dataset
    assert (taken["root"], taken["cache"], taken["download"]) == (None, None, False)


def test_installed_plugins_are_what_the_yaml_files_say():
    chosen = {yaml.safe_load(file.read_text()).get("_target_") for file in CONF.glob("model/*.yaml")}
    # One that only changes a setting of another has no target of its own.
    assert chosen - {None} <= installed_plugins()
    assert not any(
        name.startswith(("strategies.", "fl_backdoor.runner.tracking.")) for name in installed_plugins()
    )


def message(kind, content):
    return Message(content=content, metadata=Metadata(1, "id", 1, 7, "", "", 0.0, 3600.0, kind))


def test_a_node_that_is_sent_a_command_runs_it_neither_when_asked_nor_when_told_to_train(tmp_path):
    command = {"_target_": "os.system", "command": f"touch {tmp_path}/done"}
    experiment = replace(config("engine=deployment"), dataset=command).to_json()
    node = Context(1, 7, Hosting((0,)).node_config(), RecordDict(), {})
    invitation = Invitation(experiment, fl_backdoor.__version__, "")
    asked = app(message(MessageType.QUERY, pack_invitation(invitation)), node)
    assert unpack_answer(asked.content).refusal.startswith("dataset._target_ = os.system: not installed")
    task = TrainTask(experiment, server_round=1, client_ids=(0,), rows=(0,))
    with pytest.raises(ConfigError, match="not installed on this node"):
        app(message(MessageType.TRAIN, pack_task(ArrayRecord([np.zeros(1)]), task)), node)
    assert list(tmp_path.iterdir()) == []
