"""Krum and Multi-Krum against figures by hand, SciPy in float64, and Flower's rules."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from fl_backdoor.core.errors import ConfigError
from strategies.numerics.columns import CHUNK_COLUMNS
from strategies.rules.flower import FlowerStrategy
from strategies.rules.krum import Krum, krum_scores, lowest
from strategies.rules.multi_krum import MultiKrum


def line(*places):
    return np.array(places, dtype=np.float32)[:, None]


# f = 1, n = 5, hence 2 neighbours: 0 -> 1+4, 1 -> 1+1, 2 -> 1+4, 4 -> 4+9, 100 -> 96²+98².
FIVE = line(0, 1, 2, 4, 100)


def test_scores_by_hand():
    squared = cdist(FIVE, FIVE) ** 2
    assert krum_scores(squared, num_malicious=1).tolist() == [5, 2, 5, 13, 96**2 + 98**2]
    assert krum_scores(squared, num_malicious=2).tolist() == [1, 1, 1, 4, 96**2]
    assert krum_scores(squared, num_malicious=0).tolist() == [1 + 4 + 16, 1 + 1 + 9, 1 + 4 + 4, 29, 28621]


def test_of_equal_scores_the_first_are_lowest():
    scores = np.array([2.0, 1, 2, 0, 1, 2])
    assert np.flatnonzero(lowest(scores, 2)).tolist() == [1, 3]
    assert np.flatnonzero(lowest(scores, 4)).tolist() == [0, 1, 3, 4]


@pytest.mark.parametrize(
    ("num_to_select", "movement", "weights"),
    [
        (1, 1, [0, 1, 0, 0, 0]),
        (2, 0.5, [0.5, 0.5, 0, 0, 0]),
        (3, 1, [1 / 3, 1 / 3, 1 / 3, 0, 0]),
        (4, 1.75, [0.25, 0.25, 0.25, 0.25, 0]),
        (5, 21.4, [0.2] * 5),
    ],
)
def test_multi_krum_by_hand(make_federation, make_clients, num_to_select, movement, weights):
    strategy = make_federation(5).build(MultiKrum, num_malicious=1, num_to_select=num_to_select)
    result = strategy.aggregate(make_clients(FIVE))
    np.testing.assert_allclose(result.update, [movement], rtol=1e-7)
    np.testing.assert_allclose(result.weights, weights, rtol=1e-14)
    assert result.filtered.tolist() == result.flagged.tolist() == [weight == 0 for weight in weights]


def test_krum_by_hand(make_federation, make_clients):
    result = make_federation(5).build(Krum, num_malicious=1).aggregate(make_clients(FIVE))
    np.testing.assert_array_equal(result.update, [1])
    np.testing.assert_array_equal(result.weights, [0, 1, 0, 0, 0])
    assert result.flagged.tolist() == [True, False, True, True, True]


def test_the_mean_of_the_selected_is_weighted_where_clients_are(make_federation, make_clients):
    federation = make_federation(5, weighting="num_examples")
    clients = make_clients(FIVE, weights=[0.1, 0.2, 0.1, 0.3, 0.3])
    result = federation.build(MultiKrum, num_malicious=1, num_to_select=3).aggregate(clients)
    np.testing.assert_allclose(result.update, [(0 * 1 + 1 * 2 + 2 * 1) / 4], rtol=1e-7)
    np.testing.assert_allclose(result.weights, [0.25, 0.5, 0.25, 0, 0], rtol=1e-14)


def ranking(rows, num_malicious):
    squared = np.sort(cdist(rows, rows) ** 2, axis=1)[:, 1 : len(rows) - num_malicious - 1]
    return np.argsort(squared.sum(axis=1))


@pytest.mark.parametrize("offset", [0.0, 1.0, 30.0], ids="offset {}".format)
@pytest.mark.parametrize("num_params", [40, 2 * CHUNK_COLUMNS + 7])
@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_scipy_where_updates_resemble_each_other(
    make_federation, make_clients, seed, num_params, offset
):
    rng = np.random.default_rng(seed)
    rows = (offset + 0.03 * rng.standard_normal((13, num_params))).astype(np.float32)
    rows[5] += 0.1
    expected = ranking(rows.astype(np.float64), 2)
    clients = make_clients(rows)
    for count in (1, 5):
        strategy = make_federation(13).build(MultiKrum, num_malicious=2, num_to_select=count)
        result = strategy.aggregate(clients)
        assert np.flatnonzero(~result.filtered).tolist() == sorted(expected[:count])
        np.testing.assert_allclose(
            result.update, rows[expected[:count]].mean(axis=0, dtype=np.float64), rtol=3e-7, atol=1e-8
        )


@pytest.mark.parametrize("num_malicious", [0, 1, 4])
@pytest.mark.parametrize("seed", range(3))
def test_selects_whom_flower_selects(make_federation, make_clients, seed, num_malicious):
    rng = np.random.default_rng(seed)
    clients = make_clients(rng.standard_normal((11, 300)) * rng.uniform(0.5, 2, (11, 1)))
    federation = make_federation(11)
    flower = federation.build(FlowerStrategy, rule="MultiKrum", num_malicious=num_malicious, num_to_select=4)
    ours = federation.build(MultiKrum, num_malicious=num_malicious, num_to_select=4)
    np.testing.assert_array_equal(ours.aggregate(clients).flagged, flower.aggregate(clients).flagged)
    single = federation.build(FlowerStrategy, rule="Krum", num_malicious=num_malicious)
    krum = federation.build(Krum, num_malicious=num_malicious)
    np.testing.assert_array_equal(krum.aggregate(clients).update, single.aggregate(clients).update)


def test_moving_all_updates_moves_the_result(make_federation, make_clients):
    rng = np.random.default_rng(0)
    rows, step = rng.integers(-50, 50, (11, 30)), rng.integers(-1000, 1000, 30)
    strategy = make_federation(11).build(Krum, num_malicious=3)
    result, moved = strategy.aggregate(make_clients(rows)), strategy.aggregate(make_clients(rows + step))
    np.testing.assert_array_equal(moved.update, result.update + step)


def test_colluders_that_agree_exactly_are_still_seen_as_one_camp(make_federation, make_clients):
    rows = np.random.default_rng(0).standard_normal((9, 20)).astype(np.float32)
    rows[:2] = 50
    result = make_federation(9).build(Krum, num_malicious=3).aggregate(make_clients(rows))
    assert result.flagged[:2].all()
    np.testing.assert_array_equal(result.update, rows[ranking(rows, 3)[0]])


@pytest.mark.parametrize(
    ("target", "settings", "message"),
    [
        (
            "Krum",
            {"num_malicious": 5},
            "strategy.num_malicious = 5: Krum needs at least 2 * 5 + 3 = 13 clients a round,"
            " clients_per_round is 10",
        ),
        (
            "MultiKrum",
            {"num_malicious": 4},
            "strategy.num_malicious = 4: MultiKrum needs at least 2 * 4 + 3 = 11 clients a round,"
            " clients_per_round is 10",
        ),
        (
            "MultiKrum",
            {"num_to_select": 11},
            "strategy.num_to_select = 11: must be at most a round's clients, clients_per_round is 10",
        ),
        (
            "MultiKrum",
            {"num_to_select": 0},
            "strategy.num_to_select = 0: must be greater than or equal to 1",
        ),
        (
            "Krum",
            {"num_malicious": -1},
            "strategy.num_malicious = -1: must be greater than or equal to 0",
        ),
        (
            "Krum",
            {"num_to_select": 2},
            "strategy.num_to_select = 2: no such setting; known here: num_malicious",
        ),
    ],
)
def test_a_wrong_setting_is_one_line(target, settings, message, make_federation):
    spec = {"_target_": f"strategies.{target}", **settings}
    with pytest.raises(ConfigError) as caught:
        make_federation(20, participants=10).configured(spec)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("num_malicious", "num_to_select", "required"), [(0, 1, 3), (3, 5, 9), (1, 5, 5), (1, 8, 8)]
)
def test_fewest_replies(num_malicious, num_to_select, required, make_federation):
    strategy = make_federation(20).build(MultiKrum, num_malicious=num_malicious, num_to_select=num_to_select)
    assert strategy.required_clients == required


def test_a_round_with_too_few_replies_keeps_the_model(make_federation, exchange):
    strategy = make_federation(5).build(Krum, num_malicious=1)
    assert exchange(strategy).finish() is not None
    one_missing = exchange(strategy)
    one_missing.says(2, num_examples=-1)
    assert one_missing.finish() is None
    assert strategy.outcome.aggregation is None


def test_buffers_are_those_of_the_selected(make_federation, exchange, make_state):
    strategy = make_federation(5).build(MultiKrum, num_malicious=1, num_to_select=2)
    round_one = exchange(strategy)
    for client_id, place in enumerate([1, 1.1, 5, 9, 100]):
        round_one.says(client_id, make_state([place] * 5, mean=[place, 0], count=10 * client_id))
    weight, mean, count, _ = round_one.finish()
    # The two lowest sums of squares over 2 neighbours: 1.1 -> .01 + 3.9², 1 -> .01 + 4².
    np.testing.assert_allclose(weight, np.full((2, 2), 1.05), rtol=1e-6)
    # Without the lowest and the highest 1.1 to 9 are left of the means, 10 to 30 of the counts.
    np.testing.assert_allclose(mean, [1.1, 0], rtol=1e-6)
    assert count == 10
