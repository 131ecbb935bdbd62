import numpy as np
import pytest

from strategies.persistent_direction.sketch import LARGEST, deviations, random_flips, sketched

EVERYBODY = np.ones(3, dtype=np.bool_)


def test_coordinates_are_added_up_with_their_signs_by_hand():
    updates = np.array([[1, 2, 3, 4, 5], [10, 0, 0, 0, 1]], dtype=np.float32)
    flips = np.array([1, -1, 1, 1, -1], dtype=np.int8)
    # Places of 1st, 3rd, 5th and of 2nd, 4th: 1 + 3 - 5, -2 + 4 and 10 - 1, 0.
    np.testing.assert_array_equal(sketched(updates, flips, 2), [[-1, 2], [9, 0]])


@pytest.mark.parametrize("num_entries", [5, 99])
def test_a_sketch_with_room_for_all_keeps_products(num_entries):
    updates = np.random.default_rng(0).standard_normal((4, 5)).astype(np.float32)
    sketches = sketched(updates, random_flips(5, np.random.default_rng(1)), num_entries)
    np.testing.assert_allclose(sketches @ sketches.T, updates @ updates.T, rtol=1e-5)


def test_products_are_unbiased_and_as_near_as_the_lemma_says():
    # Cosine .5 of vectors with heavy tails. In m places the variance is at most (1 + .5²) / m, so that over
    # 100 draws the mean is within 5 √(1.25 / 100 m) = .0175 of it with a probability of 1 - 1e-6.
    random = np.random.default_rng(0)
    first, other = random.standard_t(3, size=(2, 3000))
    first /= np.linalg.norm(first)
    other -= other @ first * first
    updates = np.stack([first, 0.5 * first + 0.75**0.5 * other / np.linalg.norm(other)]).astype(np.float32)
    pairs = (sketched(updates, random_flips(3000, random), 1024) for _ in range(100))
    products = np.array([sketch[0] @ sketch[1] for sketch in pairs])
    assert abs(products.mean() - 0.5) < 0.0175
    assert products.std() < 1.5 * np.sqrt(1.25 / 1024)


def test_flips_are_as_often_one_way_as_the_other():
    flips = random_flips(10_000, np.random.default_rng(0))
    assert set(np.unique(flips)) == {-1, 1}
    assert abs(int(flips.sum())) < 400  # standard deviation 100


def test_deviations_are_from_the_mean_of_the_trusted():
    sketches = np.array([[3, 0], [0, 3], [3, 3]], dtype=np.float32)  # lengths 3, 3, √18: the last is cut to 3
    third = 3 / np.sqrt(2)
    first = sketches[:2].mean(axis=0)  # 1.5, 1.5
    found = deviations(sketches, np.array([True, True, False]))
    np.testing.assert_array_equal(found[0], [LARGEST, -LARGEST])
    np.testing.assert_array_equal(found[2], [LARGEST, LARGEST])
    assert (third - first > 0).all()
    away = np.array([3, 0]) - np.array([3 + third, 3 + third]) / 3
    away /= np.abs(away).max()
    np.testing.assert_allclose(deviations(sketches, EVERYBODY)[0] / LARGEST, away, atol=1 / LARGEST)
    np.testing.assert_array_equal(deviations(sketches, ~EVERYBODY), deviations(sketches, EVERYBODY))


def test_a_loud_update_does_not_move_the_others_mean():
    random = np.random.default_rng(0)
    sketches = random.standard_normal((8, 50)).astype(np.float32)
    everybody = np.ones(8, dtype=np.bool_)
    loud = sketches.copy()
    loud[0] *= 1e6
    shifted = deviations(loud, everybody)[1:] / LARGEST
    np.testing.assert_allclose(shifted, deviations(sketches, everybody)[1:] / LARGEST, atol=0.2)


def test_nobody_deviates_from_themselves():
    same = np.full((3, 4), 2.5, dtype=np.float32)
    np.testing.assert_array_equal(deviations(same, EVERYBODY), np.zeros((3, 4), np.int16))
