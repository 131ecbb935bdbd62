"""What all strategies do around their rule: draw, ask, weigh, move parameters and buffers."""

import numpy as np
import pytest
import torch
from flwr.app import ArrayRecord, ConfigRecord

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.models.factory import build_model, layout_of, load_arrays, state_arrays
from strategies.base import nothing_of
from strategies.rules.clip_avg import ClipAvg
from strategies.rules.fedavg import FedAvg
from strategies.rules.flower import FlowerStrategy
from strategies.rules.iqr_filter import IQRFilter


def asked_for(round_one):
    return sorted(client_id for message in round_one.sent for client_id in round_one.asked(message))


def test_the_clients_asked_do_not_depend_on_the_nodes(make_federation, exchange):
    federation = make_federation(20, participants=6)
    asked = [
        asked_for(exchange(federation.build(FedAvg), node_ids=nodes))
        for nodes in ([1, 2, 3], [999], range(50), [2**62, 5])
    ]
    assert len(asked[0]) == 6
    assert asked == [asked[0]] * 4


def test_the_model_does_not_depend_on_the_nodes(make_federation, exchange, make_state):
    models = []
    for nodes in ([1], [7, 5, 6], range(30)):
        round_one = exchange(make_federation(8).build(FedAvg), node_ids=nodes)
        for client_id in range(8):
            round_one.says(client_id, make_state(np.full(5, 0.1 * client_id), count=client_id))
        models.append(round_one.finish())
    for model in models[1:]:
        for array, first in zip(model, models[0], strict=True):
            np.testing.assert_array_equal(array, first)


def test_rows_are_sorted_by_client_id(make_federation, exchange, make_state):
    strategy = make_federation(5).build(FedAvg)
    round_one = exchange(strategy, make_state([1] * 5), node_ids=[3, 1, 2])
    for client_id in range(5):
        round_one.says(client_id, make_state([1 + client_id] * 5), num_steps=client_id + 1)
    round_one.finish()
    clients = strategy.outcome.updates
    np.testing.assert_array_equal(clients.updates, np.arange(5)[:, None] * np.ones(5))
    np.testing.assert_array_equal(clients.num_steps, [1, 2, 3, 4, 5])
    assert clients.updates.dtype == np.float32
    assert clients.learning_rate == 0.5


@pytest.mark.parametrize(
    ("weighting", "weights", "value"),
    [("equal", [0.25] * 4, (0 + 4 + 8 + 12) / 4), ("num_examples", [0.1, 0.2, 0.3, 0.4], 8)],
)
def test_weighting(make_federation, exchange, make_state, *, weighting, weights, value):
    strategy = make_federation(4, weighting=weighting).build(FedAvg)
    round_one = exchange(strategy)
    for client_id in range(4):
        round_one.says(client_id, make_state([4 * client_id] * 5), num_examples=10 * (client_id + 1))
    model = round_one.finish()
    np.testing.assert_allclose(strategy.outcome.updates.weights, weights, rtol=1e-15)
    np.testing.assert_allclose(model[0], np.full((2, 2), value), rtol=1e-6)


def test_the_servers_learning_rate_moves_parameters_and_not_buffers(make_federation, exchange, make_state):
    round_one = exchange(
        make_federation(2, learning_rate=0.5).build(FedAvg), make_state([1] * 5, mean=[1, 1])
    )
    for client_id in range(2):
        round_one.says(client_id, make_state([5] * 5, mean=[3, 3]))
    weight, mean, _, bias = round_one.finish()
    np.testing.assert_array_equal(weight, np.full((2, 2), 3))
    np.testing.assert_array_equal(bias, [3])
    np.testing.assert_array_equal(mean, [3, 3])


def test_buffers_are_the_median_over_the_clients_that_were_kept(make_federation, exchange, make_state):
    strategy = make_federation(5).build(IQRFilter)
    round_one = exchange(strategy)
    for client_id, value in enumerate([0, 1, 2, 3, 100]):  # the last is left out, see test_article.py
        round_one.says(
            client_id, make_state([value] * 5, mean=[value, -value], count=[5, 5, 5, 7, 900][client_id])
        )
    weight, mean, count, _ = round_one.finish()
    assert strategy.outcome.aggregation.filtered.tolist() == [False] * 4 + [True]
    np.testing.assert_array_equal(weight, np.full((2, 2), 1.5))
    np.testing.assert_array_equal(mean, [1.5, -1.5])
    assert (count, count.shape, count.dtype) == (5, (), np.int64)


def test_buffers_are_the_median_over_all_where_a_rule_has_no_weights(make_federation, exchange, make_state):
    round_one = exchange(make_federation(3).build(FlowerStrategy, rule="FedMedian"))
    for client_id, value in enumerate([0, 1, 8]):
        round_one.says(client_id, make_state([value] * 5, mean=[value, 0], count=value))
    weight, mean, count, _ = round_one.finish()
    np.testing.assert_array_equal(weight, np.ones((2, 2)))
    np.testing.assert_array_equal(mean, [1, 0])
    assert count == 1


def test_buffers_as_parameters(make_federation, exchange, make_state):
    strategy = make_federation(3, buffers="as_parameters", learning_rate=0.5).build(FedAvg)
    round_one = exchange(strategy, make_state([1] * 5, mean=[1, 1], count=10))
    for client_id, value in enumerate([1, 2, 6]):
        round_one.says(client_id, make_state([value] * 5, mean=[value, 4], count=10 + value))
    weight, mean, count, bias = round_one.finish()
    # One vector of all 8 numbers, in the order of the tensors: weight, mean, count, bias.
    np.testing.assert_array_equal(strategy.outcome.updates.updates[1], [1, 1, 1, 1, 1, 3, 2, 1])
    np.testing.assert_allclose(weight, np.full((2, 2), 2))
    np.testing.assert_allclose(mean, [2, 2.5])
    assert (count, count.dtype) == (12, np.int64)  # 10 + 0.5·3 = 11.5, to the even neighbour
    np.testing.assert_allclose(bias, [2])


def test_the_model_that_was_sent_is_not_changed(make_federation, exchange, make_state):
    model = make_state([1] * 5)
    round_one = exchange(make_federation(2).build(FedAvg), model)
    round_one.says(0, make_state([9] * 5))
    assert round_one.finish()[0][0, 0] == 5
    np.testing.assert_array_equal(model[0], np.ones((2, 2)))


def test_several_rounds_follow_each_other(make_federation, exchange, make_state):
    strategy, model = make_federation(2).build(FedAvg), make_state()
    for server_round in (1, 2, 3):
        this_round = exchange(strategy, model, server_round)
        for client_id in range(2):
            this_round.says(client_id, make_state(model[3] + [1, 2, 3, 4, 5], count=server_round))
        model = this_round.finish()
        assert strategy.outcome.server_round == server_round
    np.testing.assert_array_equal(model[0], [[11, 12], [13, 14]])  # two rounds of + 5 on the bias
    assert model[2] == 3


def test_too_few_participants_for_a_rule(make_federation):
    class Three(FedAvg):
        required_clients = 3

    assert make_federation(3).build(Three).required_clients == 3
    with pytest.raises(ConfigError, match=r"^clients_per_round = 2: Three needs at least 3 clients a round$"):
        make_federation(9, participants=2).build(Three)


def test_evaluation_asks_nobody(make_federation):
    strategy = make_federation().build(FedAvg)
    assert list(strategy.configure_evaluate(1, ArrayRecord(), ConfigRecord(), None)) == []
    assert strategy.aggregate_evaluate(1, []) is None


def test_a_round_of_nobody_keeps_the_model(make_federation, exchange, make_state):
    class Nobody(FedAvg):
        def aggregate(self, clients):
            return nothing_of(clients)

    round_ = exchange(make_federation(2).build(Nobody))
    round_.says(0, make_state([1, 1, 1, 1, 1]))
    assert round_.finish() is None
    assert round_.strategy.outcome.aggregation.filtered.all()


def test_a_tied_weight_passes_by_no_rule(make_federation, exchange):
    model = build_model({"_target_": "tests.small_models.Tied"}, {"image_shape": (1, 2, 2)}, 3, seed=0)
    federation = make_federation(2).knowing(layout=layout_of(model))
    start = state_arrays(model)
    round_ = exchange(federation.build(ClipAvg, clip_gamma=1e-9), start)
    round_.says(0, [array + 1 for array in start])
    clipped = round_.finish()
    assert round_.strategy.outcome.updates.norms[0] == pytest.approx(
        np.sqrt(federation.server.layout.num_params)
    )
    for before, after in zip(start, clipped, strict=True):
        np.testing.assert_allclose(after, before, atol=1e-7)
    load_arrays(model, clipped)
    assert torch.equal(model.second.weight, model.third.weight)
