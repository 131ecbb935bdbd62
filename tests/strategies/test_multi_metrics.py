"""Multi-Metrics against figures worked out by hand and by SciPy."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist, mahalanobis

from strategies.rules.multi_metrics import MultiMetrics, manhattan_distances, whitened_lengths


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_manhattan_distances_are_scipys(scale):
    rows = (scale * np.random.default_rng(1).standard_normal((5, 9000))).astype(np.float32)
    expected = cdist(rows.astype(np.float64), rows.astype(np.float64), "cityblock")
    np.testing.assert_allclose(manhattan_distances(rows), expected, rtol=1e-6)


def test_lengths_are_those_of_mahalanobis_from_the_origin():
    figures = np.random.default_rng(2).uniform(1, 2, (7, 3)) * [1, 1e4, 1e-2]
    inverse = np.linalg.inv(np.cov(figures.T))
    expected = [mahalanobis(row, np.zeros(3), inverse) for row in figures]
    np.testing.assert_allclose(whitened_lengths(figures), expected, rtol=1e-6)


def test_two_figures_by_hand():
    # Variances 1 and 4, no covariance: √(1 + 4/4), √(9 + 4/4), √(4 + 36/4), √(4 + 4/4).
    figures = np.array([[1.0, 2], [3, 2], [2, 6], [2, 2]])
    cov = np.cov(figures.T)
    assert cov[0, 1] == 0
    np.testing.assert_allclose(
        whitened_lengths(figures), np.sqrt(figures[:, 0] ** 2 / cov[0, 0] + figures[:, 1] ** 2 / cov[1, 1])
    )


def test_a_share_of_the_clients_is_kept_and_it_is_not_the_odd_ones(make_federation, make_clients):
    rows = np.random.default_rng(3).standard_normal((10, 50)) + 2
    rows[7:] *= [[-4.0], [6.0], [9.0]]
    result = make_federation(10).build(MultiMetrics).aggregate(make_clients(rows))
    assert result.filtered.sum() == 7
    assert result.flagged[7:].all()
    assert make_federation(10).build(MultiMetrics).rows_after(10) == 3


def test_at_least_one_is_kept(make_federation, make_clients):
    rule = make_federation(2).build(MultiMetrics, kept_share=0.1)
    assert rule.aggregate(make_clients([[1.0, 2], [3.0, 4]])).filtered.sum() == 1
