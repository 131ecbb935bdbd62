import numpy as np

from strategies.persistent_direction.memory import Memory


def remembering(rounds, span=9):
    """Remember rounds of (client ids, signs)."""
    memory = Memory.empty(len(rounds[0][1][0]))
    for server_round, (ids, signs) in enumerate(rounds, 1):
        memory = memory.after(server_round, np.array(ids), np.array(signs, np.int8), span)
    return memory


def test_products_are_those_of_all_terms():
    random = np.random.default_rng(0)
    rounds = [([0, 1, 2], random.integers(-1, 2, (3, 50))) for _ in range(4)]
    memory = remembering(rounds)
    signs = np.concatenate([signs for _, signs in rounds])
    np.testing.assert_array_equal(memory.products, signs @ signs.T)
    np.testing.assert_array_equal(memory.client_ids, [0, 1, 2] * 4)
    np.testing.assert_array_equal(memory.rounds, np.repeat([1, 2, 3, 4], 3))


def test_the_last_terms_of_each_client_are_kept():
    memory = remembering([([0, 1], [[1], [1]]), ([0], [[1]]), ([0, 1], [[-1], [1]]), ([0], [[-1]])], span=2)
    assert list(zip(memory.rounds.tolist(), memory.client_ids.tolist(), strict=True)) == [
        (1, 1),
        (3, 0),
        (3, 1),
        (4, 0),
    ]
    np.testing.assert_array_equal(memory.vectors.ravel(), [1, -1, 1, -1])
    np.testing.assert_array_equal(memory.products, np.outer(memory.vectors, memory.vectors))


def test_a_memory_survives_as_arrays():
    memory = remembering([([0, 3], [[1, 0], [-1, 1]]), ([3], [[1, 1]])])
    again = Memory.from_arrays(memory.as_arrays() | {"something else": np.zeros(1)})
    for name, array in memory.as_arrays().items():
        np.testing.assert_array_equal(again.as_arrays()[name], array)
        assert again.as_arrays()[name].dtype == array.dtype
