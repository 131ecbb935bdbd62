"""Whole experiments on small data sets in the form of the published archives."""

import numpy as np
import pytest
import torch

from fl_backdoor.config.schema import parse_whole
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.federation.context import ExperimentContext
from fl_backdoor.runner.checks import check_light
from fl_backdoor.runner.composition import composed
from fl_backdoor.runner.rehearsal import ready
from tests.golden.in_process import played
from tests.made_archives import (
    write_ag_news,
    write_emnist,
    write_femnist,
    write_gtsrb,
    write_sentiment140,
    write_tiny_imagenet,
)
from tests.runner.test_main import run, table

SMALL = [
    *("num_rounds=1", "client.local_steps=2", "precision=fp32", "engine.device=cpu", "attack.alpha=0.5"),
    *("partition.num_clients=2", "attack.num_malicious=1", "attack.target_label=1", "client.batch_size=4"),
]
WRITERS = {"f0000_14": 30, "f0001_41": 20, "f0002_07": 10, "f0003_42": 4}


def configured(root, *settings):
    places = [f"dataset.root={root}", f"dataset.cache={root / 'cache'}"]
    return parse_whole(next(composed([*SMALL, *places, *settings])))[0]


@pytest.mark.parametrize(
    ("name", "write", "trigger", "shape"),
    [
        ("tiny_imagenet", lambda root: write_tiny_imagenet(root, 4), "distributed", (256, 64 * 8 * 8)),
        ("gtsrb", lambda root: write_gtsrb(root, 4), "bar", (256, 64 * 4 * 4)),
        ("emnist", lambda root: write_emnist(root, "balanced", [0, 1] * 4), "bar", (256, 64 * 3 * 3)),
    ],
)
def test_an_attack_on_images_of_this_size(tmp_path, name, write, trigger, shape):
    write(tmp_path)
    checked = ready(configured(tmp_path, f"dataset={name}", f"attack/trigger={trigger}"))
    rows, clients, model = played(checked.config)
    assert 0 <= rows[-1]["attack_success_rate"] <= 1
    assert np.isfinite(rows[-1]["test_loss"])
    assert len(clients) == 2
    assert model["classifier.1.weight"].shape == shape


TRIGGERS = (
    "a3fl",
    "bar",
    "blended",
    "distributed",
    "drawing",
    "input_aware",
    "patch",
    "sinusoidal",
    "warping",
)


@pytest.mark.parametrize("trigger", TRIGGERS)
@pytest.mark.parametrize("name", ["tiny_imagenet", "emnist", "svhn"])
def test_every_trigger_fits(tmp_path, name, trigger):
    write_tiny_imagenet(tmp_path)
    context = ExperimentContext(configured(tmp_path, f"dataset={name}", f"attack/trigger={trigger}"))
    images = torch.full((2, *context.dataset.image_shape), 0.25)
    assert (context.trigger.stamp(images) != images).any(dim=(1, 2, 3)).all()


def test_each_writer_is_a_client(tmp_path):
    write_femnist(tmp_path, WRITERS)
    settings = ("dataset=femnist", "partition=natural", "partition.column=writer_id")
    config = ready(configured(tmp_path, *settings, "partition.num_clients=4")).config
    _, clients, _ = played(config)
    context = ExperimentContext(config)
    images = context.data.train.samples[:, 0, 0, 0]
    held = [set(images[rows].tolist()) for rows in context.partition]
    assert sorted(map(tuple, held)) == [(0,), (1,), (2,), (3,)]
    assert {row["client_id"]: row["num_examples"] for row in clients} == {
        client: len(rows) for client, rows in enumerate(context.partition)
    }


def test_writers_are_grouped_and_the_server_keeps_some_samples(tmp_path):
    write_femnist(tmp_path, WRITERS)
    settings = ("dataset=femnist", "partition=natural", "partition.column=writer_id", "server.root_samples=5")
    context = ExperimentContext(configured(tmp_path, *settings))
    images = context.data.train.samples[:, 0, 0, 0]
    held = [set(images[rows].tolist()) for rows in context.partition]
    assert sorted(map(len, held)) == [2, 2]
    assert sum(map(len, context.partition)) == len(images) - 5
    assert not set(context.root_rows) & set(np.concatenate(context.partition))


def test_users_of_texts_are_clients(tmp_path):
    write_sentiment140(tmp_path, {"ann": 12, "bob": 8})
    settings = ("dataset=sentiment140", "partition=natural", "partition.column=user", "model=embedding")
    rows, clients, _ = played(ready(configured(tmp_path, *settings, "attack/trigger=word")).config)
    assert sorted(client["num_examples"] for client in clients) == [8, 12]
    assert np.isfinite(rows[-1]["test_loss"])


def test_a_target_that_is_no_class_is_one_line(tmp_path):
    write_ag_news(tmp_path)
    settings = ("dataset=ag_news", "model=embedding", "attack/trigger=word", "attack.target_label=5")
    with pytest.raises(ConfigError) as error:
        check_light(configured(tmp_path, *settings))
    assert str(error.value) == (
        "attack.target_label = 5: texts_ag_news_csv has the classes 0 … 3: World, Sports, Business, Sci/Tech"
    )


def test_a_run_on_ag_news(tmp_path):
    """As a user starts it: the model learns the classes, and the tables name them."""
    write_ag_news(tmp_path, 60)
    training = ["num_rounds=12", "client.batch_size=16", "client.learning_rate=2", "client.momentum=0"]
    settings = [*training, "client.local_steps=10", "attack.alpha=0.1"]
    texts = ["dataset=ag_news", "model=embedding", "attack/trigger=word"]
    places = [f"dataset.root={tmp_path}", f"dataset.cache={tmp_path / 'cache'}", "hydra.run.dir=found"]
    shown = run(tmp_path, *SMALL, *texts, *settings, *places)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    labels = table(tmp_path / "found" / "labels.csv")
    assert sum(int(row["Sci/Tech"]) for row in labels) == 60
    last = table(tmp_path / "found" / "rounds.csv")[-1]
    assert float(last["main_task_accuracy"]) == 1
