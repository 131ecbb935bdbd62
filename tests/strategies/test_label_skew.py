"""What proxy clients explain, against projections by another decomposition."""

import numpy as np

from strategies.persistent_direction.label_skew import apart_from, stacked


def matrix(num_rows, num_columns, seed):
    return np.random.default_rng(seed).standard_normal((num_rows, num_columns)).astype(np.float32)


def whole(updates):
    """Short vectors that lose nothing: all coordinates, and some of them."""
    return {"all": updates, "some": updates[:, ::3]}


def test_the_rest_is_orthogonal_to_what_proxy_clients_sent():
    proxies, updates = matrix(5, 60, seed=0), matrix(8, 60, seed=1)
    rest = apart_from(whole(proxies), whole(updates), by="all")
    basis = np.linalg.qr(proxies.T.astype(np.float64))[0]
    wanted = updates - updates @ basis @ basis.T
    np.testing.assert_allclose(rest["all"], wanted, atol=1e-5)
    np.testing.assert_allclose(rest["some"], wanted[:, ::3], atol=1e-5)
    assert rest["all"].dtype == np.float32


def test_sums_of_what_proxy_clients_sent_leave_nothing():
    proxies = matrix(4, 50, seed=0)
    explained = np.array([[2, 0, -1, 3], [0, 0, 0, 0], [0.5, 0.5, 0, 0]], np.float32) @ proxies
    rest = apart_from(whole(proxies), whole(explained), by="all")
    for left in rest.values():
        np.testing.assert_allclose(left, 0, atol=1e-5)


def test_a_virtual_client_that_came_twice_changes_nothing():
    proxies, updates = matrix(3, 40, seed=0), matrix(6, 40, seed=1)
    once = apart_from(whole(proxies), whole(updates), by="all")
    twice = apart_from(whole(np.vstack([proxies, proxies[:1]])), whole(updates), by="all")
    np.testing.assert_allclose(once["some"], twice["some"], atol=1e-5)


def test_updates_one_by_one_are_those_of_a_matrix():
    updates = matrix(3, 12, seed=0)
    together = stacked(whole(updates[row : row + 1]) for row in range(3))
    np.testing.assert_array_equal(together["all"], updates)
    np.testing.assert_array_equal(together["some"], updates[:, ::3])
