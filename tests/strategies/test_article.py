"""The article's defences against figures worked out by hand, on matrices of 3 to 6 rows."""

import numpy as np
import pytest

from strategies.numerics.clipping import clip_coefficients
from strategies.rules.clip_avg import ClipAvg, gamma_t
from strategies.rules.fedavg import FedAvg
from strategies.rules.hybrid import Hybrid
from strategies.rules.iqr_filter import IQRFilter


def test_fedavg(make_federation, make_clients):
    clients = make_clients([[1, 2], [3, 4], [8, 0]])
    np.testing.assert_array_equal(make_federation().build(FedAvg).aggregate(clients).update, [4, 2])


def test_fedavg_weighted(make_federation, make_clients):
    clients = make_clients([[1, 2], [3, 4], [8, 0]], weights=[0.5, 0.25, 0.25])
    np.testing.assert_array_equal(make_federation().build(FedAvg).aggregate(clients).update, [3.25, 2])


# Rows at 0, 1, 2, 3 and 100 on a line: mean distances 26.5, 25.75, 25.5, 25.75, 98.5;
# Q1 = 25.75, Q3 = 26.5, so [24.625, 27.625] is inside at k = 1.5.
ON_A_LINE = [[0], [1], [2], [3], [100]]


def test_iqr_filter_leaves_out_the_far_row(make_federation, make_clients):
    clients = make_clients(ON_A_LINE)
    np.testing.assert_allclose(clients.mean_distances, [26.5, 25.75, 25.5, 25.75, 98.5], rtol=1e-14)
    result = make_federation().build(IQRFilter).aggregate(clients)
    np.testing.assert_array_equal(result.update, [1.5])
    np.testing.assert_array_equal(result.weights, [0.25, 0.25, 0.25, 0.25, 0])
    assert result.filtered.tolist() == result.flagged.tolist() == [False] * 4 + [True]
    np.testing.assert_array_equal(result.clip_coefficients, np.ones(5))


def test_iqr_filter_spreads_the_weight_of_the_left_out(make_federation, make_clients):
    clients = make_clients(ON_A_LINE, weights=np.array([1, 2, 3, 4, 5]) / 15)
    result = make_federation().build(IQRFilter).aggregate(clients)
    np.testing.assert_allclose(result.update, [(0 * 1 + 1 * 2 + 2 * 3 + 3 * 4) / 10], rtol=1e-7)
    np.testing.assert_allclose(result.weights, [0.1, 0.2, 0.3, 0.4, 0], rtol=1e-14)


def test_iqr_filter_with_a_smaller_k_leaves_out_more(make_federation, make_clients):
    # k = 0.3 keeps [25.525, 26.725]: the central row, 25.5, is below.
    result = make_federation().build(IQRFilter, iqr_k=0.3).aggregate(make_clients(ON_A_LINE))
    assert result.filtered.tolist() == [False, False, True, False, True]
    np.testing.assert_allclose(result.update, [4 / 3], rtol=1e-7)


def test_iqr_filter_leaves_out_a_row_that_is_too_central(make_federation, make_clients):
    # Five corners of a simplex and its centre: the corners' mean distances are equal, the centre's is lower.
    clients = make_clients([*np.eye(5), np.full(5, 0.2)])
    corner, centre = (4 * 2**0.5 + 0.8**0.5) / 5, 0.8**0.5
    np.testing.assert_allclose(clients.mean_distances, [corner] * 5 + [centre], rtol=1e-7)
    result = make_federation().build(IQRFilter).aggregate(clients)
    assert result.filtered.tolist() == [False] * 5 + [True]


@pytest.mark.parametrize(
    ("decay", "expected"),
    [(0.0, [2, 2, 2, 2]), (0.5, [2, 2 / 2**0.5, 2 / 3**0.5, 1]), (1.0, [2, 1, 2 / 3, 0.5])],
)
def test_gamma_t_over_rounds(decay, expected):
    assert [gamma_t(2.0, decay, server_round) for server_round in (1, 2, 3, 4)] == pytest.approx(expected)


def test_clip_coefficients_by_hand():
    norms = np.array([0.0, 1, 2, 2.5, 8])
    assert clip_coefficients(norms, 2.0).tolist() == [1, 1, 1, 0.8, 0.25]
    assert clip_coefficients(np.array([0.0, 3]), 0.0).tolist() == [1, 0]


# lr = 0.5, so g = Δ / (0.5·T): T = 10 divides by 5, T = 5 by 2.5. ‖g‖ = 50/5, 5/5, 10/2.5 = 10, 1, 4.
UPDATES, NUM_STEPS = [[30, 40], [0, 5], [6, 8]], [10, 10, 5]


@pytest.mark.parametrize(
    ("server_round", "coefficients", "update"),
    [
        (1, [0.2, 1, 0.5], [(6 + 0 + 3) / 3, (8 + 5 + 4) / 3]),  # γ_t = 2
        (4, [0.1, 1, 0.25], [(3 + 0 + 1.5) / 3, (4 + 5 + 2) / 3]),  # γ_t = 1
        (16, [0.05, 0.5, 0.125], [(1.5 + 0 + 0.75) / 3, (2 + 2.5 + 1) / 3]),  # γ_t = 0.5
    ],
)
def test_clip_avg(make_federation, make_clients, server_round, coefficients, update):
    clients = make_clients(UPDATES, NUM_STEPS, learning_rate=0.5, server_round=server_round)
    np.testing.assert_allclose(clients.gradient_norms, [10, 1, 4], rtol=1e-14)
    result = make_federation().build(ClipAvg, clip_gamma=2.0, clip_decay=0.5).aggregate(clients)
    np.testing.assert_allclose(result.clip_coefficients, coefficients, rtol=1e-14)
    np.testing.assert_allclose(result.update, update, rtol=1e-7)
    assert result.flagged.tolist() == [c < 1 for c in coefficients]
    assert not result.filtered.any()
    np.testing.assert_allclose(result.weights, [1 / 3] * 3)


def test_clip_avg_sees_each_clients_own_number_of_steps(make_federation, make_clients):
    # The same update in twice the steps is an average gradient half as long.
    result = (
        make_federation()
        .build(ClipAvg, clip_gamma=1.0)
        .aggregate(make_clients([[4.0], [4.0], [4.0]], [1, 2, 8]))
    )
    np.testing.assert_array_equal(result.clip_coefficients, [0.25, 0.5, 1])
    np.testing.assert_allclose(result.update, [(1 + 2 + 4) / 3], rtol=1e-7)


# ‖g‖ = 1, 2, 4, 8, 16: Q1 = 2, Q3 = 8, so that over 8 + 0.3·6 = 9.8 only the last is suspicious.
DOUBLING = [[1], [2], [4], [8], [16]]


@pytest.mark.parametrize(
    ("clip_unsuspicious", "suspect_ratio", "server_round", "total"),
    [
        (False, 1.0, 1, 1 + 2 + 4 + 8 + 4),  # the listing, γ_t = 4
        (True, 1.0, 1, 1 + 2 + 4 + 4 + 4),  # the prose
        (False, 0.5, 1, 1 + 2 + 4 + 8 + 2),
        (True, 0.5, 1, 1 + 2 + 4 + 4 + 2),
        (False, 1.0, 4, 1 + 2 + 4 + 8 + 2),  # γ_t = 4 / √4 = 2
        (True, 1.0, 4, 1 + 2 + 2 + 2 + 2),
        (True, 0.5, 4, 1 + 2 + 2 + 2 + 1),
    ],
)
def test_hybrid(make_federation, make_clients, *, clip_unsuspicious, suspect_ratio, server_round, total):
    strategy = make_federation().build(
        Hybrid, clip_gamma=4.0, suspect_ratio=suspect_ratio, clip_unsuspicious=clip_unsuspicious
    )
    result = strategy.aggregate(make_clients(DOUBLING, server_round=server_round))
    np.testing.assert_allclose(result.update, [total / 5], rtol=1e-7)
    assert result.flagged.tolist() == [False] * 4 + [True]
    assert not result.filtered.any()


def test_hybrid_flags_a_suspect_that_is_within_the_bound(make_federation, make_clients):
    result = make_federation().build(Hybrid, clip_gamma=20.0).aggregate(make_clients(DOUBLING))
    assert result.flagged.tolist() == [False] * 4 + [True]
    np.testing.assert_array_equal(result.clip_coefficients, np.ones(5))
    amplified = (
        make_federation().build(Hybrid, clip_gamma=20.0, suspect_ratio=0.5).aggregate(make_clients(DOUBLING))
    )
    np.testing.assert_array_equal(amplified.clip_coefficients, [1, 1, 1, 1, 0.625])


def test_hybrid_suspects_long_gradients_and_not_long_updates(make_federation, make_clients):
    # The last update is the longest, but was made in 32 steps: its average gradient is 0.5.
    result = (
        make_federation().build(Hybrid, clip_gamma=4.0).aggregate(make_clients(DOUBLING, [1, 1, 1, 1, 32]))
    )
    assert result.flagged.tolist() == [False] * 3 + [True, False]  # 0.5 1 2 4 8: Q3 + 0.3·IQR = 4.9
    np.testing.assert_array_equal(result.clip_coefficients, [1, 1, 1, 0.5, 1])
