"""Bulyan against figures by hand, and against the paper's two loops in float64."""

from statistics import median

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import cdist

from fl_backdoor.core.errors import ConfigError
from strategies.numerics.columns import CHUNK_COLUMNS
from strategies.rules.bulyan import Bulyan, chosen_one_by_one, mean_around_median


def line(*places):
    return np.array(places, dtype=np.float32)[:, None]


# f = 1, so 5 of 7 are chosen. Sums of squares over 4, 3, 2, 1 and 1 neighbours, the lowest marked; of equal
# ones that with the lower sum in the first line:
#   1 -> 39, 2 -> 22, 3 -> 15*, 4 -> 18, 6 -> 33, 8 -> 49, 10 -> 105
#   1 -> 35, 2 -> 21, 4 -> 17*, 6 -> 24, 8 -> 24, 10 -> 56
#   1 -> 26, 2 -> 17, 6 -> 20, 8 -> 8*, 10 -> 20
#   1 -> 1, 2 -> 1*, 6 -> 16, 10 -> 16
#   1 -> 25, 6 -> 16*, 10 -> 16
# One ranking would choose 1, 2, 3, 4, 6. The median of 2, 3, 4, 6, 8 is 4; the 3 nearest are 4, 3, and of
# 2 and 6, which are equally far, the lower.
SEVEN = line(1, 2, 3, 4, 6, 8, 10)


def test_by_hand(make_federation, make_clients):
    result = make_federation(7).build(Bulyan, num_malicious=1).aggregate(make_clients(SEVEN))
    np.testing.assert_array_equal(result.update, [3])
    left_out = [True, False, False, False, False, False, True]
    assert result.filtered.tolist() == result.flagged.tolist() == left_out
    np.testing.assert_array_equal(result.weights, [0, *[np.nan] * 5, 0])
    np.testing.assert_array_equal(result.clip_coefficients, np.ones(7))


def test_nobody_malicious_is_the_mean(make_federation, make_clients):
    result = make_federation(7).build(Bulyan, num_malicious=0).aggregate(make_clients(SEVEN))
    np.testing.assert_allclose(result.update, [34 / 7], rtol=1e-7)
    assert not result.filtered.any()


@pytest.mark.parametrize(
    ("column", "count", "mean"),
    [
        ([5, 0, 1, 9, 2], 3, 1),  # 0 1 2 5 9: median 2
        ([5, 0, 1, 9, 2], 1, 2),
        ([5, 0, 1, 9, 2], 4, 2),
        ([5, 0, 1, 9, 2], 5, 3.4),
        ([0, 4, 6, 7], 2, 5),  # median 5
        ([0, 4, 6, 7], 3, 17 / 3),
        ([1e30, 2, 4, 3, -1e30], 3, 3),
        ([0, 0, 1, 1.5, 3], 3, 2.5 / 3),  # of 0, 0, 1.5 the farther two are equally far from 1
        ([-1, -1, 0, 0.2, 5], 3, -0.8 / 3),
        ([0, 0, 0, 1, 1, 1, 1], 5, 0.8),
    ],
)
def test_mean_around_median_by_hand(column, count, mean):
    everybody = np.ones(len(column), dtype=np.bool_)
    np.testing.assert_allclose(mean_around_median(line(*column), everybody, count), [mean], rtol=1e-7)
    with_others = line(*column, 7e29, -3)
    np.testing.assert_allclose(
        mean_around_median(with_others, np.append(everybody, [False, False]), count), [mean], rtol=1e-7
    )


def chosen_by_the_paper(rows, num_malicious):
    def scores(among):
        squared = np.sort(cdist(rows[among], rows[among]) ** 2, axis=1)
        return squared[:, 1 : 1 + max(1, len(among) - num_malicious - 2)].sum(axis=1)

    remaining, chosen = list(range(len(rows))), []
    first = scores(remaining)
    while len(chosen) < len(rows) - 2 * num_malicious:
        chosen.append(remaining.pop(int(np.lexsort((first[remaining], scores(remaining)))[0])))
    return sorted(chosen)


def around_median(rows, count):
    nearest = np.argsort(np.abs(rows - np.median(rows, axis=0)), axis=0)[:count]
    return np.take_along_axis(rows, nearest, axis=0).mean(axis=0)


@pytest.mark.parametrize(("num_clients", "num_malicious"), [(7, 1), (12, 2), (13, 2), (15, 3), (30, 5)])
@pytest.mark.parametrize("num_params", [40, CHUNK_COLUMNS + 7])
@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_the_papers_loops(
    make_federation, make_clients, *, seed, num_params, num_clients, num_malicious
):
    rng = np.random.default_rng(seed)
    spread = rng.uniform(0.5, 2, (num_clients, 1))
    rows = (3 + spread * rng.standard_normal((num_clients, num_params))).astype(np.float32)
    strategy = make_federation(num_clients).build(Bulyan, num_malicious=num_malicious)
    result = strategy.aggregate(make_clients(rows))
    wide = rows.astype(np.float64)
    chosen = chosen_by_the_paper(wide, num_malicious)
    assert np.flatnonzero(~result.filtered).tolist() == chosen
    expected = around_median(wide[chosen], num_clients - 4 * num_malicious)
    # Roundings of the median may decide between two values that are equally far from it but for 1e-7.
    close = np.isclose(result.update, expected, rtol=3e-7, atol=3e-7)
    assert close.mean() > 0.999


@given(hnp.arrays(np.int8, st.tuples(st.integers(3, 12), st.just(6)), elements=st.integers(-4, 4)), st.data())
def test_equal_values_are_counted_one_by_one(rows, data):
    count = data.draw(st.integers(1, len(rows)))

    def nearest_mean(column):
        # By distance, of equal ones the lower value first; all of these numbers are exact.
        middle = median(column)
        nearest = sorted(sorted(column), key=lambda value: abs(value - middle))
        return np.float32(sum(nearest[:count]) / count)

    expected = [nearest_mean(column) for column in rows.T.tolist()]
    everybody = np.ones(len(rows), dtype=np.bool_)
    np.testing.assert_array_equal(mean_around_median(rows.astype(np.float32), everybody, count), expected)


def test_choosing_one_by_one_differs_from_one_ranking():
    squared = cdist(SEVEN, SEVEN) ** 2
    assert np.flatnonzero(chosen_one_by_one(squared, 1)).tolist() == [1, 2, 3, 4, 5]


def test_equal_updates_are_chosen_in_the_order_of_clients():
    assert np.flatnonzero(chosen_one_by_one(np.zeros((9, 9)), 2)).tolist() == [0, 1, 2, 3, 4]


def test_moving_all_updates_moves_the_result(make_federation, make_clients):
    rng = np.random.default_rng(0)
    rows, step = rng.integers(-50, 50, (11, 30)), rng.integers(-1000, 1000, 30)
    strategy = make_federation(11).build(Bulyan, num_malicious=2)
    result, moved = strategy.aggregate(make_clients(rows)), strategy.aggregate(make_clients(rows + step))
    np.testing.assert_allclose(moved.update, result.update + step, rtol=1e-6, atol=1e-4)
    np.testing.assert_array_equal(moved.filtered, result.filtered)


@pytest.mark.parametrize(
    ("server", "settings", "message"),
    [
        (
            {},
            {"num_malicious": 2},
            "strategy.num_malicious = 2: Bulyan needs at least 4 * 2 + 3 = 11 clients a round,"
            " clients_per_round is 10",
        ),
        ({"weighting": "num_examples"}, {}, "server.weighting = num_examples: must be equal under Bulyan"),
    ],
)
def test_a_wrong_setting_is_one_line(server, settings, message, make_federation):
    spec = {"_target_": "strategies.Bulyan", **settings}
    with pytest.raises(ConfigError) as caught:
        make_federation(20, participants=10, **server).configured(spec)
    assert str(caught.value) == message


def test_buffers_are_averaged_around_the_median_of_the_chosen(make_federation, exchange, make_state):
    strategy = make_federation(7).build(Bulyan, num_malicious=1)
    assert strategy.required_clients == 7
    round_one = exchange(strategy)
    for client_id, (place,) in enumerate(SEVEN):
        round_one.says(client_id, make_state([place] * 5, mean=[place, 0], count=10 * client_id))
    weight, mean, count, _ = round_one.finish()
    np.testing.assert_array_equal(weight, np.full((2, 2), 3))
    np.testing.assert_array_equal(mean, [3, 0])  # as the parameters
    assert count == 30
