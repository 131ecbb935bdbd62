import numpy as np

from fl_backdoor.core.seeding import Purpose, generator, integer_seed


def test_the_same_key_gives_the_same_numbers():
    first, again = (generator(7, Purpose.LOCAL_TRAINING, 3, 2).integers(1000, size=5) for _ in range(2))
    assert np.array_equal(first, again)


def test_seed_purpose_round_and_client_each_make_a_stream_of_their_own():
    keys = [
        (7, Purpose.LOCAL_TRAINING, 3, 2),
        (8, Purpose.LOCAL_TRAINING, 3, 2),
        (7, Purpose.PARTICIPANTS, 3, 2),
        (7, Purpose.LOCAL_TRAINING, 2, 3),
        (7, Purpose.LOCAL_TRAINING, 3),
    ]
    assert len({integer_seed(*key) for key in keys}) == len(keys)


def test_integer_seeds_fit_a_signed_64_bit_integer():
    assert all(0 <= integer_seed(seed, Purpose.MODEL) < 2**63 for seed in range(100))


def test_streams_are_those_of_numpys_seed_sequence():
    expected = np.random.default_rng(np.random.SeedSequence(5, spawn_key=(2, 9))).random(3)
    assert np.array_equal(generator(5, Purpose.PARTICIPANTS, 9).random(3), expected)
