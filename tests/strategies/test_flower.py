"""Flower's rules against figures by hand and against NumPy in float64."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from fl_backdoor.core.errors import ConfigError
from strategies.rules.flower import FlowerStrategy


def line(*places):
    return np.array(places, dtype=np.float32)[:, None]


# Squared distances to the n - f - 2 nearest others, by hand:
# f = 1, n = 5: 0 -> 1+4, 1 -> 1+1, 2 -> 1+4, 4 -> 4+9, 100 -> far.
FIVE = line(0, 1, 2, 4, 100)
# f = 1, n = 7: 42.25, 24.25, 16.25, 23, 43.25, 159.25, far. Bulyan keeps 5, whose median is 2;
# the 3 values nearest to it are 1, 2 and 3.5.
SEVEN = line(0, 1, 2, 3.5, 5, 9, 100)


@pytest.mark.parametrize(
    ("rule", "settings", "rows", "movement", "weights"),
    [
        ("Krum", {"num_malicious": 1}, FIVE, 1, [0, 1, 0, 0, 0]),
        ("MultiKrum", {"num_malicious": 1, "num_to_select": 3}, FIVE, 1, [1 / 3, 1 / 3, 1 / 3, 0, 0]),
        ("MultiKrum", {"num_malicious": 1, "num_to_select": 4}, FIVE, 1.75, [0.25, 0.25, 0.25, 0.25, 0]),
        ("Krum", {"num_malicious": 1}, SEVEN, 2, [0, 0, 1, 0, 0, 0, 0]),
        ("Bulyan", {"num_malicious": 1}, SEVEN, 6.5 / 3, None),
        ("FedMedian", {}, FIVE, 2, None),
        ("FedMedian", {}, FIVE[:4], 1.5, None),
        ("FedTrimmedAvg", {}, FIVE, 7 / 3, None),  # 20 % of 5 is 1 at either end
        ("FedTrimmedAvg", {"beta": 0.4}, FIVE, 2, None),
        ("FedTrimmedAvg", {"beta": 0.0}, FIVE, 21.4, None),
        ("FedTrimmedAvg", {"beta": 0.19}, FIVE, 21.4, None),  # 0.95 of a client is none
    ],
)
def test_by_hand(make_federation, make_clients, *, rule, settings, rows, movement, weights):
    strategy = make_federation(len(rows)).build(FlowerStrategy, rule=rule, **settings)
    result = strategy.aggregate(make_clients(rows))
    np.testing.assert_allclose(result.update, [movement], rtol=2e-7)
    left_out = [weights is not None and weight == 0 for weight in weights or [1] * len(rows)]
    np.testing.assert_allclose(result.weights, weights or np.full(len(rows), np.nan), rtol=1e-14)
    assert result.filtered.tolist() == result.flagged.tolist() == left_out


def ranking(rows, num_malicious):
    squared = np.sort(cdist(rows, rows) ** 2, axis=1)[:, 1 : len(rows) - num_malicious - 1]
    return np.argsort(squared.sum(axis=1))


def krum(rows):
    return rows[ranking(rows, 2)[0]]


def multi_krum(rows):
    return rows[ranking(rows, 2)[:5]].mean(axis=0)


def bulyan(rows):
    kept = rows[ranking(rows, 2)[: len(rows) - 4]]
    nearest = np.argsort(np.abs(kept - np.median(kept, axis=0)), axis=0)[: len(rows) - 8]
    return np.take_along_axis(kept, nearest, axis=0).mean(axis=0)


def median(rows):
    return np.median(rows, axis=0)


def trimmed_mean(rows):
    cut = int(0.2 * len(rows))
    return np.sort(rows, axis=0)[cut:-cut].mean(axis=0)


NUMPY = [
    ("Krum", {"num_malicious": 2}, krum),
    ("MultiKrum", {"num_malicious": 2, "num_to_select": 5}, multi_krum),
    ("Bulyan", {"num_malicious": 2}, bulyan),
    ("FedMedian", {}, median),
    ("FedTrimmedAvg", {}, trimmed_mean),
]


@pytest.mark.parametrize("offset", [0.0, 1.0, 30.0], ids="offset {}".format)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("rule", "settings", "expected"), NUMPY, ids=[row[0] for row in NUMPY])
def test_agrees_with_numpy_where_updates_resemble_each_other(
    make_federation, make_clients, *, rule, settings, expected, seed, offset
):
    # At offset 30 and spread 0.03 the squares that Flower would subtract agree in all of float32's digits.
    rng = np.random.default_rng(seed)
    rows = (offset + 0.03 * rng.standard_normal((13, 40))).astype(np.float32)
    rows[5] += 0.1
    result = make_federation(13).build(FlowerStrategy, rule=rule, **settings).aggregate(make_clients(rows))
    wide = rows.astype(np.float64)
    np.testing.assert_allclose(result.update, expected(wide), rtol=3e-7, atol=1e-8)


def test_colluders_that_agree_exactly_are_still_seen_as_one_camp(make_federation, make_clients):
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((9, 20)).astype(np.float32)
    rows[:2] = 50
    result = make_federation(9).build(FlowerStrategy, rule="Krum").aggregate(make_clients(rows))
    assert result.flagged[:2].all()
    np.testing.assert_array_equal(result.update, rows[ranking(rows, 3)[0]])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"rule": "Krum", "num_malicious": 5},
            "strategy.num_malicious = 5: Krum needs at least 2 * 5 + 3 = 13 clients a round,"
            " clients_per_round is 10",
        ),
        (
            {"rule": "MultiKrum", "num_malicious": 4},
            "strategy.num_malicious = 4: MultiKrum needs at least 2 * 4 + 3 = 11 clients a round,"
            " clients_per_round is 10",
        ),
        (
            {"rule": "Bulyan"},
            "strategy.num_malicious = 3: Bulyan needs at least 4 * 3 + 3 = 15 clients a round,"
            " clients_per_round is 10",
        ),
        (
            {"rule": "MultiKrum", "num_to_select": 11},
            "strategy.num_to_select = 11: must be at most a round's clients, clients_per_round is 10",
        ),
        (
            {"rule": "FedMedian", "num_malicious": 0},
            "strategy.num_malicious = 0: FedMedian has no such setting; set it to null",
        ),
        (
            {"rule": "Krum", "num_to_select": 2},
            "strategy.num_to_select = 2: Krum has no such setting; set it to null",
        ),
        (
            {"rule": "Bulyan", "num_malicious": 1, "beta": 0.1},
            "strategy.beta = 0.1: Bulyan has no such setting; set it to null",
        ),
        ({"rule": "FedTrimmedAvg", "beta": 0.5}, "strategy.beta = 0.5: must be less than 0.5"),
        (
            {"rule": "FedTrimmedAvg", "beta": -0.1},
            "strategy.beta = -0.1: must be greater than or equal to 0",
        ),
        (
            {"rule": "Krum", "num_malicious": -1},
            "strategy.num_malicious = -1: must be greater than or equal to 0",
        ),
        (
            {"rule": "krum"},
            "strategy.rule = krum: must be 'Krum', 'MultiKrum', 'Bulyan', 'FedMedian' or 'FedTrimmedAvg'",
        ),
    ],
)
def test_a_wrong_setting_is_one_line(settings, message, make_federation):
    spec = {"_target_": "strategies.FlowerStrategy", **settings}
    with pytest.raises(ConfigError) as caught:
        make_federation(20, participants=10).configured(spec)
    assert str(caught.value) == message


def test_weighting_by_examples_is_refused(make_federation):
    with pytest.raises(ConfigError, match=r"^server\.weighting = num_examples: must be equal"):
        make_federation(weighting="num_examples").build(FlowerStrategy, rule="FedMedian")


@pytest.mark.parametrize(
    ("rule", "settings", "required"),
    [
        ("Krum", {"num_malicious": 0}, 3),
        ("Krum", {}, 9),
        ("MultiKrum", {"num_malicious": 1}, 5),
        ("MultiKrum", {"num_malicious": 1, "num_to_select": 8}, 8),
        ("Bulyan", {"num_malicious": 2}, 11),
        ("FedMedian", {}, 1),
        ("FedTrimmedAvg", {"beta": 0.49}, 1),
    ],
)
def test_fewest_replies(rule, settings, required, make_federation):
    assert make_federation(20).build(FlowerStrategy, rule=rule, **settings).required_clients == required


def test_a_round_with_too_few_replies_keeps_the_model(make_federation, exchange):
    strategy = make_federation(5).build(FlowerStrategy, rule="Krum", num_malicious=1)
    full = exchange(strategy)
    assert full.finish() is not None
    one_missing = exchange(strategy)
    one_missing.says(2, num_examples=-1)
    assert one_missing.finish() is None
    assert strategy.outcome.aggregation is None


def test_buffers_are_those_of_the_selected(make_federation, exchange, make_state):
    strategy = make_federation(5).build(FlowerStrategy, rule="MultiKrum", num_malicious=1, num_to_select=2)
    round_one = exchange(strategy)
    for client_id, place in enumerate([1, 1.1, 5, 9, 100]):
        round_one.says(client_id, make_state([place] * 5, mean=[place, 0], count=10 * client_id))
    weight, mean, count, bias = round_one.finish()
    # The two lowest sums of squares over 2 neighbours: 1.1 -> .01 + 3.9², 1 -> .01 + 4².
    np.testing.assert_allclose(weight, np.full((2, 2), 1.05), rtol=1e-6)
    # Without the lowest and the highest 1.1 to 9 are left of the means, 10 to 30 of the counts.
    np.testing.assert_allclose(mean, [1.1, 0], rtol=1e-6)
    assert (count, count.dtype) == (10, np.int64)
    np.testing.assert_allclose(bias, [1.05], rtol=1e-6)
