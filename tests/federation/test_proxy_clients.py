"""Clients that the server plays: whose samples they have, and that they train as others do."""

import itertools
import threading
from contextlib import closing

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention

from fl_backdoor.config.schema import parse_whole
from fl_backdoor.core.errors import ConfigError, Stopped
from fl_backdoor.core.seeding import Purpose, generator, integer_seed
from fl_backdoor.data.samples import CLEAN
from fl_backdoor.federation.context import ExperimentContext
from fl_backdoor.federation.grid import StoppableGrid
from fl_backdoor.federation.proxy_clients import (
    ProxyClients,
    ProxyTask,
    ProxyTraining,
    stage_ends,
)
from fl_backdoor.federation.server_app import build_strategy, courier_of
from fl_backdoor.models.factory import state_arrays
from fl_backdoor.runner.composition import composed
from fl_backdoor.runner.experiment_key import experiment_key

NUM_ROOT = 200
SIZES = (400,) * 10


def config(*overrides: str):
    steps = ["dataset=mnist5k", "client.local_steps=2", "precision=fp32", f"server.root_samples={NUM_ROOT}"]
    return parse_whole(next(composed([*steps, *overrides])))[0]


def origin_of(config):
    return [array.copy() for array in state_arrays(ExperimentContext(config).model)]


def test_the_servers_samples_are_training_samples_that_no_client_has():
    context = ExperimentContext(config())
    assert len(context.root_rows) == NUM_ROOT
    assert sorted([*context.root_rows, *np.concatenate(context.partition)]) == list(range(4000))
    assert {len(indices) for indices in context.partition} == {(4000 - NUM_ROOT) // 10}
    assert not np.array_equal(context.root_rows, ExperimentContext(config("seed=1")).root_rows)


def test_without_any_nothing_changes():
    plain = config("server.root_samples=0")
    assert ExperimentContext(plain).root_rows.tolist() == []
    older = plain.to_dict()
    for name in ("root_samples", "root_bias", "root_class"):
        del older["server"][name]
    assert experiment_key(older) == experiment_key(plain.to_dict()) != experiment_key(config().to_dict())


def test_a_run_whose_root_samples_came_out_of_the_test_set_is_another_one():
    now = config().to_dict()
    earlier = now | {
        "server": {k: v for k, v in now["server"].items() if k not in {"root_bias", "root_class"}}
    }
    assert experiment_key(earlier) != experiment_key(now)


def test_the_server_cannot_have_all():
    assert len(ExperimentContext(config("server.root_samples=3990")).root_rows) == 3990
    allowed = (
        r"^server\.root_samples = 3991: must be at most 3990: of 4000 training samples each client needs one$"
    )
    with pytest.raises(ConfigError, match=allowed):
        _ = ExperimentContext(config("server.root_samples=3991")).root_rows


def test_only_a_server_with_samples_plays_clients():
    for count, plays in ((0, False), (NUM_ROOT, True)):
        wanted = config("strategy=persistent_direction", f"server.root_samples={count}")
        proxies, courier = ProxyClients(wanted, SIZES), courier_of(wanted)
        strategy = build_strategy(wanted, ExperimentContext(wanted).layout, SIZES, proxies, courier)
        assert (strategy.server.proxy_clients is not None) == plays


def test_a_virtual_client_is_trained_by_sgd_on_the_servers_samples():
    training, context = ProxyTraining(config(), num_drawn=400), ExperimentContext(config())
    origin = origin_of(config())
    updates = training(ProxyTask(origin, server_round=3, number=0, num_stages=2))
    # The same samples in the same order, with PyTorch's own optimiser.
    key = (Purpose.PROXY_CLIENTS, 3, 0)
    rows = training.drawn(generator(0, *key))
    assert len(rows) == 400  # as other clients have
    assert set(rows) <= set(context.root_rows)
    samples = context.training_samples.select(rows)
    batches = samples.batches(32, torch.Generator().manual_seed(integer_seed(0, *key)))
    optimizer = torch.optim.SGD(context.model.parameters(), lr=0.05, momentum=0.9)
    context.model.train()
    wanted = []
    for indices in itertools.islice(batches, 2):
        inputs, labels = samples.batch(indices, CLEAN)
        optimizer.zero_grad()
        F.cross_entropy(context.model(inputs), labels).backward()
        optimizer.step()
        wanted.append(context.layout.update(state_arrays(context.model), origin))
    np.testing.assert_allclose(updates, wanted, atol=1e-6)
    assert np.abs(wanted[0]).max() > 1e-3
    # What it ends with does not depend on how often it shows what it has learnt.
    [last] = training(ProxyTask(origin, server_round=3, number=0, num_stages=1))
    np.testing.assert_array_equal(last, updates[-1])


def test_a_proxy_client_has_the_learning_rate_of_the_round():
    told = ("lr_schedule=milestones", "lr_schedule.milestones=[2]", "lr_schedule.gamma=0.5")
    tasks = [ProxyTask(origin_of(config()), n, number=0, num_stages=1) for n in (1, 3)]
    falling, halved = (
        [training(task)[0] for task in tasks]
        for training in (
            ProxyTraining(config(*told), num_drawn=400),
            ProxyTraining(config("client.learning_rate=0.025"), num_drawn=400),
        )
    )
    assert not np.array_equal(falling[0], halved[0])
    np.testing.assert_array_equal(falling[1], halved[1])


def test_a_run_that_is_asked_to_end_plays_no_more_clients():
    stop = threading.Event()
    grid = StoppableGrid(None, stop, poll_seconds=60)  # it asks no grid here
    with closing(ProxyClients(config(), SIZES, 1, go_on=grid.wait)) as proxies:
        played = proxies.updates(origin_of(config()), server_round=1, count=9, num_stages=2)
        assert len(list(itertools.islice(played, 2))) == 2
        stop.set()
        with pytest.raises(Stopped):
            list(played)


@pytest.mark.parametrize(
    ("num_steps", "num_stages", "ends"), [(8, 4, {2, 4, 6, 8}), (3, 4, {1, 2, 3}), (10, 4, {3, 5, 8, 10})]
)
def test_stages_are_as_long_as_each_other(num_steps, num_stages, ends):
    assert stage_ends(num_steps, num_stages) == ends


def test_each_has_other_label_shares_and_comes_again_with_the_same_ones():
    training, origin = ProxyTraining(config(), num_drawn=400), origin_of(config())
    tasks = [ProxyTask(origin, server_round=1, number=number, num_stages=1) for number in range(2)]
    first, second = (training(task) for task in tasks)
    assert not np.array_equal(first, second)
    labels = training.context.data.train.labels
    drawn = [np.bincount(labels[training.drawn(np.random.default_rng(k))], minlength=10) for k in range(50)]
    # Under a Dirichlet law of ten times 0.5 the largest share is 0.39 in the mean.
    assert 0.3 < np.max(drawn, axis=1).mean() / 400 < 0.5


def test_they_are_the_same_whatever_the_number_of_cores():
    updates = []
    for num_cores in (1, 2):
        with closing(ProxyClients(config(), SIZES, num_cores)) as proxies:
            updates.append(list(proxies.updates(origin_of(config()), server_round=1, count=5, num_stages=2)))
    np.testing.assert_array_equal(*updates)
    training = ProxyTraining(config(), num_drawn=400)
    task = ProxyTask(origin_of(config()), server_round=1, number=4, num_stages=2)
    np.testing.assert_allclose(updates[0][8:], training(task), atol=1e-6)  # one thread rounds otherwise


def test_who_watches_is_told_how_many_are_done():
    steps = []
    with closing(ProxyClients(config(), SIZES, 1, on_step=lambda *step: steps.append(step))) as proxies:
        assert len(list(proxies.updates(origin_of(config()), server_round=1, count=3, num_stages=2))) == 6
    assert steps == [("proxy clients", done, 3) for done in (1, 2, 3)]


def test_they_have_as_many_samples_as_the_client_in_the_middle_and_no_fewer_than_the_server():
    sizes = (100, 400, 900)
    assert ProxyClients(config(), sizes).num_drawn == 400
    assert ProxyClients(config("server.root_samples=700"), sizes).num_drawn == 700
