"""RFLBAT against figures worked out by hand and by scikit-learn."""

import numpy as np
import pytest

from strategies.numerics.linear import squared_distances
from strategies.rules.rflbat import RFLBAT, likeness, principal_components, summed_distances


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_components_are_those_of_pca(scale):
    from sklearn.decomposition import PCA  # two seconds, of each process that collects this file

    rows = (scale * np.random.default_rng(2).standard_normal((7, 40))).astype(np.float32)
    found = principal_components(squared_distances(rows))
    expected = PCA(2).fit_transform(rows.astype(np.float64))
    np.testing.assert_allclose(np.abs(found), np.abs(expected), rtol=1e-4, atol=1e-4 * scale)


def test_distances_and_likeness_by_hand():
    np.testing.assert_array_equal(summed_distances(np.array([[0.0, 0], [3, 4], [0, 0]])), [5, 10, 5])
    # Mean cosines to the two others .5, .4, .1: their median is .4.
    cosines = np.array([[1, 0.8, 0.2], [0.8, 1, 0.0], [0.2, 0.0, 1]])
    assert likeness(cosines) == pytest.approx(0.4)
    assert likeness(np.ones((1, 1))) == np.inf


def camps(num_benign, num_malicious):
    """Return benign rows that are hardly alike, and malicious ones that are, far away on one side."""
    random = np.random.default_rng(4)
    rows = random.standard_normal((num_benign + num_malicious, 60))
    rows[num_benign:] = 2 + 0.05 * random.standard_normal((num_malicious, 60))
    return rows


def test_the_group_that_resembles_itself_stays_out(make_federation, make_clients):
    result = make_federation(12).build(RFLBAT, most_groups=2).aggregate(make_clients(camps(8, 4)))
    np.testing.assert_array_equal(result.flagged, [False] * 8 + [True] * 4)


def test_far_outliers_go_first(make_federation, make_clients):
    rows = np.random.default_rng(4).standard_normal((30, 60))
    rows[3] *= 1000
    result = make_federation(30).build(RFLBAT, most_groups=1).aggregate(make_clients(rows))
    np.testing.assert_array_equal(np.flatnonzero(result.flagged), [3])


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_if_all_are_the_same_all_stay(make_federation, make_clients, count):
    result = make_federation(count).build(RFLBAT).aggregate(make_clients(np.ones((count, 4))))
    assert not result.filtered.any()
