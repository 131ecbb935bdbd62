"""What a node answers to a run that it cannot be part of, and to one that it can."""

import json
from dataclasses import replace

import pytest
from flwr.app import ConfigRecord, Context, Message, MessageType, Metadata, RecordDict
from PIL import Image

import fl_backdoor
from fl_backdoor.config.schema import parse_whole
from fl_backdoor.data.fingerprint import fingerprint, kind_of
from fl_backdoor.data.image_folder import ImageFolder
from fl_backdoor.federation.client_app import app
from fl_backdoor.federation.context import ExperimentContext
from fl_backdoor.federation.hosting import Hosting
from fl_backdoor.federation.invitation import (
    RECORD,
    Answer,
    Invitation,
    pack_answer,
    pack_invitation,
    unpack_answer,
    unpack_invitation,
)
from fl_backdoor.runner.composition import composed

SETTINGS = ("engine=deployment", "dataset=mnist5k", "partition.num_clients=4", "attack.num_malicious=1")


@pytest.fixture(scope="module")
def invitation():
    config = parse_whole(next(composed([*SETTINGS])))[0]
    context = ExperimentContext(config)
    return Invitation(config.to_json(), fl_backdoor.__version__, fingerprint(context.dataset, context.data))


def asked(invitation, node_config):
    """Return what a node with this configuration answers."""
    metadata = Metadata(1, "id", 1, 7, "", "", 0.0, 3600.0, MessageType.QUERY)
    message = Message(content=pack_invitation(invitation), metadata=metadata)
    return unpack_answer(app(message, Context(1, 7, node_config, RecordDict(), {})).content)


def test_a_node_names_its_clients(invitation):
    assert asked(invitation, Hosting((2, 0)).node_config()) == Answer((0, 2))


def test_another_version_is_refused(invitation):
    found = asked(replace(invitation, project_version="9.9"), {"partition": "1"})
    assert found == Answer(
        (), f"fl-backdoor {fl_backdoor.__version__} is installed here, the run is made with 9.9"
    )


def test_other_data_are_refused_and_both_are_named(invitation):
    found = asked(
        replace(invitation, data="cifar10 (3x32x32, 10 classes, 01): 50000 training samples, 0123"),
        {"partition": "1"},
    )
    assert found.client_ids == ()
    assert found.refusal == (
        f"its data are {invitation.data}; "
        "the run's are cifar10 (3x32x32, 10 classes, 01): 50000 training samples, 0123"
    )
    assert invitation.data.startswith("mnist5k (1x28x28, 10 classes, ")


def test_other_images_with_the_same_labels_are_other_data(tmp_path):
    lines = []
    for value in (0, 40, 0):
        for split in ("train", "test"):
            place = tmp_path / "pets" / split / "cat"
            place.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (value, 0, 0)).save(place / "1.bmp")
        dataset = ImageFolder(folder="pets", root=str(tmp_path), cache=str(tmp_path / "cache"))
        lines.append(fingerprint(dataset, dataset.load()))
    assert lines[0] == lines[2] != lines[1]
    assert kind_of(lines[0]) == kind_of(lines[1])


def test_data_of_its_own_need_be_of_the_same_kind_alone(invitation, tmp_path):
    kind, _, _ = invitation.data.partition(": ")
    node_config = {"partition": "1", "own-data": True, "data": str(tmp_path)}
    found = asked(replace(invitation, data=f"{kind}: 70 training samples, 0123"), node_config)
    assert found == Answer((1,), num_own_samples=4000)
    other = asked(replace(invitation, data=f"cifar10: {invitation.data}"), node_config)
    assert other.refusal == f"its data are {kind}; the run's are cifar10"


def test_an_attacker_with_data_of_its_own_must_know_its_place_from_the_seed_alone(invitation, tmp_path):
    plain = json.loads(invitation.experiment)
    plain["attack"]["holds_target"] = True
    wanted = replace(invitation, experiment=json.dumps(plain))
    node_config = {"partition": "1", "own-data": True, "data": str(tmp_path), "malicious": True}
    assert asked(wanted, node_config).refusal.startswith("attack.holds_target goes by the common data set")
    assert asked(invitation, node_config).client_ids == (1,)


def test_a_client_that_the_run_does_not_have_is_refused(invitation):
    assert asked(invitation, {"partition": "3,4"}).refusal == "it hosts client 4, the run has 4 clients"


def test_a_configuration_is_checked_again_on_the_node(invitation):
    plain = json.loads(invitation.experiment)
    plain["attack"]["alpha"] = 7
    found = asked(replace(invitation, experiment=json.dumps(plain)), {"partition": "1"})
    assert found.refusal == "attack.alpha = 7: must be less than or equal to 1"


def test_data_that_are_not_there_are_told(invitation, tmp_path):
    plain = json.loads(invitation.experiment)
    plain["dataset"] = {"_target_": "fl_backdoor.data.cifar10.Cifar10", "download": False}
    wanted = replace(invitation, experiment=json.dumps(plain))
    found = asked(wanted, {"partition": "1", "data": str(tmp_path)})
    assert str(tmp_path) in found.refusal


@pytest.mark.parametrize(
    ("node_config", "refusal"),
    [
        ({"num-partitions": 2}, "it was not told whom it hosts: start it with --partition"),
        ({"partition": "one"}, "partition = one: must be a client id from 0, or several with commas"),
        ({"partition": "-1"}, "partition = -1: must be a client id from 0, or several with commas"),
        ({"partition": "10000000000"}, "partition = 10000000000: must be a client id from 0, or several"),
        ({"partition": 1, "colour": "red"}, "colour: no such key of --node-config; known here: partition, "),
        ({"partition": 1, "device": "tpu"}, "device = tpu: must be one of auto, cpu, cuda"),
        ({"partition": 1, "threads": 0}, "threads = 0: must be a whole number from 1"),
        ({"partition": 1, "own-data": True}, "own-data: say with data where they are"),
        ({"partition": "1,2", "own-data": True, "data": "x"}, "own-data are those of one client, not of 2"),
    ],
)
def test_a_node_that_was_started_wrongly_says_why(invitation, node_config, refusal):
    assert asked(invitation, node_config).refusal.startswith(refusal)


def test_invitations_and_answers_travel_unchanged(invitation):
    assert unpack_invitation(pack_invitation(invitation)) == invitation
    for answer in (Answer((0, 3)), Answer((), "no"), Answer((2,), num_own_samples=70)):
        assert unpack_answer(pack_answer(answer)) == answer


@pytest.mark.parametrize(
    ("record", "refusal"),
    [
        ({}, "its answer lacks client_ids"),
        ({"client_ids": []}, "its answer lacks refusal"),
        ({"client_ids": [1], "refusal": ""}, "its answer lacks num_own_samples"),
        ({"client_ids": "all", "refusal": "", "num_own_samples": 0}, "its answer names no clients"),
        ({"client_ids": [1.5], "refusal": "", "num_own_samples": 0}, "its answer names no clients"),
        ({"client_ids": [True], "refusal": "", "num_own_samples": 0}, "its answer names no clients"),
        ({"client_ids": [], "refusal": "two\nlines", "num_own_samples": 0}, "two lines"),
        ({"client_ids": [1], "refusal": "", "num_own_samples": 10**10}, "it claims 10000000000 samples"),
        ({"client_ids": [1], "refusal": "no", "num_own_samples": 9}, "no"),
        ({"client_ids": [1], "refusal": "\x1b[2J", "num_own_samples": 0}, "without a reason"),
    ],
)
def test_an_answer_that_makes_no_sense_counts_as_staying_away(record, refusal):
    assert unpack_answer(RecordDict({RECORD: ConfigRecord(record)})) == Answer((), refusal)


def test_a_refusal_is_cut_and_cleaned_and_nothing_in_it_is_markup():
    said = "\x1b[2J\x1b[31mHACKED [bold]x[/bold] \x07" + "y" * 100_000
    refusal = unpack_answer(pack_answer(Answer((), said))).refusal
    assert refusal.startswith("HACKED [bold]x[/bold] yyy")
    assert len(refusal) == 500


def test_an_empty_answer_counts_as_staying_away():
    assert unpack_answer(RecordDict()) == Answer((), f"its answer lacks {RECORD}")
