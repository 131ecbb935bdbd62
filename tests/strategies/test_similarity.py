import numpy as np
import pytest

from strategies.persistent_direction.memory import Memory
from strategies.persistent_direction.similarity import similarities, views
from tests.strategies.test_memory import remembering

TWO_WAYS = np.array([[1, 1, 1, 1], [1, 1, -1, -1], [-1, -1, 1, 1]])


def test_means_over_products_of_different_rounds_by_hand():
    # Client 0 repeats itself; client 1 does as client 0, but in round 2 something orthogonal.
    same, half = TWO_WAYS[0], TWO_WAYS[1]
    found = similarities(
        remembering([([0, 1], [same, same]), ([0, 1], [same, half]), ([0, 1], [same, same])])
    )
    np.testing.assert_array_equal(found.client_ids, [0, 1])
    # Of the 3 · 2 products across the two with client 1's round 2 are 0, and 4 of the 6 of its own.
    np.testing.assert_allclose(found.mean, [[1, 4 / 6], [4 / 6, 2 / 6]])
    # Six products, four of 1 and two of 0: Σ(x - 2/3)² = 4/3, 5 degrees of freedom.
    np.testing.assert_allclose(found.noise_std[0, 1], np.sqrt(4 / 3 / 5 / 6))


def test_what_is_alike_in_one_round_alone_does_not_count():
    ways = [TWO_WAYS[0], TWO_WAYS[1], np.array([1, -1, 1, -1])]  # orthogonal
    found = similarities(remembering([([0, 1], [way, way]) for way in ways]))
    np.testing.assert_allclose(found.mean, np.zeros((2, 2)), atol=1e-15)


def test_signs_of_zero_do_not_count_for_less():
    rounds = [([0, 1], [[1, 1, 0, 0], [1, 1, 1, 1]])] * 3
    found = similarities(remembering(rounds))
    # cos = 2 / √(2 · 4)
    np.testing.assert_allclose(found.mean, [[1, 2**-0.5], [2**-0.5, 1]])
    np.testing.assert_allclose(found.mean_cube, [[1, 2**-1.5], [2**-1.5, 1]])


def test_a_term_without_direction_is_like_nothing():
    found = similarities(remembering([([0, 1], [[0, 0], [1, 1]])] * 3))
    np.testing.assert_allclose(found.mean, [[0, 0], [0, 1]])


def test_clients_are_known_from_their_third_round_on_and_keep_their_ids():
    way = TWO_WAYS[0]
    memory = remembering([([2, 7], [way, way]), ([2, 9], [way, way]), ([2, 7], [way, way]), ([7], [way])])
    found = similarities(memory)
    np.testing.assert_array_equal(found.client_ids, [2, 7])
    np.testing.assert_array_equal(found.of(np.array([7, 9])).client_ids, [7])
    assert len(similarities(Memory.empty(3)).client_ids) == 0


def test_the_last_terms_are_looked_at_alone():
    one, other = TWO_WAYS[0], TWO_WAYS[1]  # orthogonal
    found = similarities(remembering([([0, 1], [one, other])] * 3 + [([0, 1], [one, one])] * 4))
    # Client 1's seven terms are 3 of one kind and 4 of another: 18 of its 42 products are of the same kind.
    np.testing.assert_allclose(found.mean, [[1, 24 / 42], [24 / 42, 18 / 42]])
    lately = found.recent(4)
    np.testing.assert_allclose(lately.mean, np.ones((2, 2)))
    np.testing.assert_array_equal(lately.rounds, [4, 4, 5, 5, 6, 6, 7, 7])
    np.testing.assert_array_equal(lately.terms, range(6, 14))


@pytest.mark.parametrize(("num_rounds", "lengths"), [(3, [3]), (4, [4]), (7, [7, 4]), (9, [9, 8, 4])])
def test_views_are_of_everything_and_of_less(num_rounds, lengths):
    found = views(similarities(remembering([([0, 1], TWO_WAYS[:2])] * num_rounds)))
    assert [len(view.rounds) // 2 for view in found] == lengths


def test_a_sample_of_coordinates_is_as_near_as_hoeffding_says():
    # Full products of 100,000 signs against 4,096 of them. A cosine is a mean of products in [-1, 1]: over a
    # sample of m it is off by more than √(2 ln(2/δ) / m) with a probability of at most δ.
    random = np.random.default_rng(3)
    shared = random.standard_normal(100_000)
    rounds = [
        ([0, 1, 2], np.sign(np.outer([1, 1, 0], shared) + random.standard_normal((3, shared.size))))
        for _ in range(4)
    ]
    sample = random.choice(shared.size, 4096, replace=False)
    exact = similarities(remembering([(ids, signs) for ids, signs in rounds])).mean
    sampled = similarities(remembering([(ids, signs[:, sample]) for ids, signs in rounds])).mean
    bound = np.sqrt(2 * np.log(2 / 1e-6) / 4096)
    assert exact[0, 1] > 2 * bound
    assert np.abs(sampled - exact).max() < bound
