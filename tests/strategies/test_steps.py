"""The steps that come with the program, by figures worked out by hand."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.layout import Layout, TensorSpec
from fl_backdoor.core.seeding import Purpose, generator
from strategies.numerics.columns import CHUNK_COLUMNS
from strategies.numerics.largest import are_largest
from strategies.rules.fedavg import FedAvg
from strategies.steps.bucketing import Bucketing, bucket_shares
from strategies.steps.centered_clipping import CenteredClipping
from strategies.steps.nnm import NNM
from strategies.steps.norm_clipping import NormClipping
from strategies.steps.sparsification import Sparsification
from strategies.steps.weak_noise import WeakNoise

# Norms 5, 2, 10, 0, 1: their median is 2.
VECTORS = [[3, 4], [0, 2], [6, 8], [0, 0], [1, 0]]


@pytest.mark.parametrize(
    ("bound", "coefficients", "total"),
    [
        (None, [0.4, 1, 0.2, 1, 1], [1.2 + 0 + 1.2 + 0 + 1, 1.6 + 2 + 1.6 + 0 + 0]),
        (5.0, [1, 1, 0.5, 1, 1], [3 + 0 + 3 + 0 + 1, 4 + 2 + 4 + 0 + 0]),
        (20.0, [1, 1, 1, 1, 1], [10, 14]),
    ],
)
def test_norm_clipping(make_federation, make_clients, bound, coefficients, total):
    result = make_federation(5).build(NormClipping, bound=bound).aggregate(make_clients(VECTORS))
    np.testing.assert_allclose(result.clip_coefficients, coefficients, rtol=1e-14)
    np.testing.assert_allclose(result.update, np.divide(total, 5), rtol=1e-7)
    assert not (result.filtered | result.flagged).any(), "who is clipped is not taken for malicious"


def test_where_most_have_not_moved_the_median_bound_is_0(make_federation, make_clients):
    result = make_federation(3).build(NormClipping).aggregate(make_clients([[3, 4], [0, 0], [0, 0]]))
    np.testing.assert_array_equal(result.clip_coefficients, [0, 1, 1])
    np.testing.assert_array_equal(result.update, [0, 0])


def test_norm_clipping_weighs_clients(make_federation, make_clients):
    clients = make_clients([[2.0], [8.0]], weights=[0.75, 0.25])
    result = make_federation(2).build(NormClipping, bound=4).aggregate(clients)
    np.testing.assert_array_equal(result.update, [0.75 * 2 + 0.25 * 4])


# Of 0 1 3 7 20 with f = 2 the three nearest are {0 1 3} three times, {1 3 7} and {3 7 20}.
ON_A_LINE = [[0], [1], [3], [7], [20]]


def test_nnm(make_federation, make_clients):
    change = make_federation(5).build(NNM, num_malicious=2).change(make_clients(ON_A_LINE))
    np.testing.assert_allclose(change.updates, np.divide([[4], [4], [4], [11], [30]], 3), rtol=1e-7)
    expected = [[1, 1, 1, 0, 0]] * 3 + [[0, 1, 1, 1, 0], [0, 0, 1, 1, 1]]
    np.testing.assert_allclose(change.shares, np.divide(expected, 3), rtol=1e-15)


def test_nnm_alone_is_the_mean_of_means(make_federation, make_clients):
    result = make_federation(5).build(NNM, num_malicious=2).aggregate(make_clients(ON_A_LINE))
    np.testing.assert_allclose(result.update, [(4 + 4 + 4 + 11 + 30) / 15], rtol=1e-7)
    # In how many of the five rows each is, by a third of a fifth.
    np.testing.assert_allclose(result.weights, np.divide([3, 4, 5, 2, 1], 15), rtol=1e-14)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("apart", [1.0, 1e-4])
def test_nnm_as_it_is_defined(make_federation, make_clients, scale, apart):
    random = np.random.default_rng(5)
    rows = scale * (random.standard_normal(30) + apart * random.standard_normal((7, 30)))
    rows = rows.astype(np.float32)
    found = make_federation(7).build(NNM, num_malicious=3).change(make_clients(rows)).updates
    exact = rows.astype(np.float64)
    for mixed, distances in zip(found, cdist(exact, exact), strict=True):
        nearest = sorted(range(7), key=lambda i, d=distances: d[i])[:4]
        np.testing.assert_allclose(mixed, exact[nearest].mean(axis=0), rtol=1e-6, atol=1e-6 * scale * apart)


def test_nnm_of_many_parameters(make_federation, make_clients):
    rows = np.zeros((3, CHUNK_COLUMNS + 3), np.float32)
    rows[:, -1] = [0, 2, 8]
    found = make_federation(3).build(NNM, num_malicious=1).change(make_clients(rows)).updates
    np.testing.assert_array_equal(found[:, -1], [1, 1, 5])
    assert not found[:, :-1].any()


def test_of_equal_updates_each_keeps_itself(make_federation, make_clients):
    change = make_federation(5).build(NNM, num_malicious=2).change(make_clients([[1.0]] * 5))
    assert (np.diag(change.shares) > 0).all()
    np.testing.assert_array_equal((change.shares > 0).sum(axis=1), 3)


def test_nnm_needs_an_honest_majority(make_federation):
    make_federation(7).build(NNM, num_malicious=3)
    with pytest.raises(ConfigError) as error:
        make_federation(6).build(NNM, num_malicious=3)
    assert str(error.value) == (
        "strategy.num_malicious = 3: NNM needs at least 2 * 3 + 1 = 7 clients a round, clients_per_round is 6"
    )


def test_weak_noise_moves_parameters_alone(make_federation, make_clients, make_state):
    step = make_federation(learning_rate=0.1).build(WeakNoise, noise_std=0.5)
    model = make_state([1, 2, 3, 4, 5], mean=(6, 7), count=8)
    clients = make_clients([[1.0]], server_round=3)
    moved = step.finish(model, clients, step.aggregate(clients))
    noise = generator(7, Purpose.WEAK_NOISE, 3, 0).standard_normal(5, dtype=np.float32) / 2
    np.testing.assert_array_equal(moved[0].ravel(), np.float32([1, 2, 3, 4]) + noise[:4])
    np.testing.assert_array_equal(moved[3], np.float32([5]) + noise[4:])
    np.testing.assert_array_equal(moved[1], [6, 7])
    assert moved[2] == 8
    np.testing.assert_array_equal(model[0].ravel(), [1, 2, 3, 4])


def test_weak_noise_has_its_standard_deviation_in_each_round(make_federation, make_clients):
    layout = Layout((TensorSpec("weight", (40_000,), "float32", True),))
    step = make_federation().knowing(layout=layout).build(WeakNoise, noise_std=0.02)
    model = [np.zeros(40_000, np.float32)]
    rounds = [make_clients([[0.0]], server_round=server_round) for server_round in (1, 2)]
    first, second = (step.finish(model, clients, step.aggregate(clients))[0] for clients in rounds)
    # The standard deviation of a sample's is std/√(2n), of a correlation 1/√n: five of them.
    for noise in (first, second):
        assert noise.std() == pytest.approx(0.02, abs=5 * 0.02 / 80_000**0.5)
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / 200


def test_a_round_with_noise(make_federation, exchange, make_state):
    federation = make_federation(learning_rate=0.5)
    noisy = exchange(federation.build(WeakNoise, noise_std=0.25), make_state())
    plain = exchange(federation.build(FedAvg), make_state())
    for round_of_four in (noisy, plain):
        round_of_four.says(1, make_state([4, 4, 4, 4, 4]))
    difference = noisy.finish()[0] - plain.finish()[0]
    noise = generator(7, Purpose.WEAK_NOISE, 1, 0).standard_normal(5, dtype=np.float32)
    np.testing.assert_allclose(difference.ravel(), noise[:4] / 4, rtol=1e-6, atol=1e-7)


def test_buckets_are_filled_in_order_and_average_by_weight():
    shares = bucket_shares(np.array([4, 0, 2, 1, 3]), np.array([0.1, 0.1, 0.3, 0.2, 0.3]), 2)
    np.testing.assert_allclose(
        shares, [[0.25, 0, 0, 0, 0.75], [0, 0.25, 0.75, 0, 0], [0, 0, 0, 1, 0]], rtol=1e-14
    )


def test_bucketing_shuffles_anew_each_round(make_federation, make_clients):
    step = make_federation(6).build(Bucketing, bucket_size=2)
    rows = 2.0 ** np.arange(6)[:, None]
    rounds = [step.change(make_clients(rows, server_round=at)) for at in range(1, 6)]
    for change in rounds:
        assert change.shares.shape == (3, 6)
        np.testing.assert_allclose(change.updates, change.shares @ rows)
        np.testing.assert_array_equal(np.sort(change.shares, axis=1)[:, 4:], 0.5)
    assert len({change.shares.tobytes() for change in rounds}) > 1
    again = step.change(make_clients(rows, server_round=1))
    np.testing.assert_array_equal(again.shares, rounds[0].shares)


@pytest.mark.parametrize(("count", "size", "rows"), [(6, 2, 3), (7, 2, 4), (7, 10, 1)])
def test_so_many_buckets_are_left(make_federation, make_clients, count, size, rows):
    step = make_federation(count).build(Bucketing, bucket_size=size)
    assert step.rows_after(count) == rows
    assert len(step.change(make_clients(np.ones((count, 2)))).updates) == rows


def test_largest_coordinates_by_magnitude_of_equal_ones_the_first():
    for update, count, expected in (
        ([1, -3, 2, -1, 0], 2, [1, 2]),
        ([1, -1, 1, -2], 3, [0, 1, 3]),
        ([0, 0, 0], 1, [0]),
        ([5, 6], 2, [0, 1]),
    ):
        np.testing.assert_array_equal(np.flatnonzero(are_largest(np.float32(update), count)), expected)


def test_sparsification_keeps_a_share_of_each_update(make_federation, make_clients):
    rows = [[1, -4, 2, 3, 0], [0, 0, 0, 0, 0], [-5, 1, 1, 1, 1]]
    step = make_federation(3).build(Sparsification, kept_share=0.4)
    expected = [[0, -4, 0, 3, 0], [0, 0, 0, 0, 0], [-5, 1, 0, 0, 0]]
    np.testing.assert_array_equal(step.change(make_clients(rows)).updates, expected)
    least = make_federation(3).build(Sparsification, kept_share=0.01)
    np.testing.assert_array_equal(least.change(make_clients(rows)).updates[0], [0, -4, 0, 0, 0])


def test_centered_clipping_pulls_to_the_last_result(make_federation, make_clients, make_state):
    step = make_federation(2).build(CenteredClipping, radius=5)
    # At first around 0: norms 10 and 3.
    first = make_clients([[6, 8.0], [3, 0.0]])
    result = step.aggregate(first)
    np.testing.assert_allclose(result.clip_coefficients, [0.5, 1])
    np.testing.assert_allclose(result.update, [3, 2], rtol=1e-6)
    step.finish([], first, result)
    # Then around (3, 2): (9, 10) is 10 away and comes half way, (3, 7) is 5 away and stays.
    change = step.change(make_clients([[9, 10.0], [3, 7.0]], server_round=2))
    np.testing.assert_allclose(change.clip_coefficients, [0.5, 1])
    np.testing.assert_allclose(change.updates, [[6, 6], [3, 7]], rtol=1e-6)
    resumed = make_federation(2).build(CenteredClipping, radius=5)
    resumed.restore(1, step.state())
    again = resumed.change(make_clients([[9, 10.0], [3, 7.0]], server_round=2))
    np.testing.assert_array_equal(again.updates, change.updates)
