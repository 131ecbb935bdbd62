"""Every random number of a run follows from its seed, the purpose, and where useful round and client.

No generator is shared, so no result depends on the order in which workers happen to run.
"""

from enum import IntEnum, unique

import numpy as np


@unique
class Purpose(IntEnum):
    """What a stream of random numbers is for; the numbers are part of every result, never reused."""

    MODEL = 0
    PARTITION = 1
    PARTICIPANTS = 2
    MALICIOUS_CLIENTS = 3
    LOCAL_TRAINING = 4
    SHOWN_SAMPLES = 5
    SERVER_NOISE = 6
    MONITORED_COORDINATES = 7
    SIMULATED_FEDERATIONS = 8
    TRIGGER = 9
    UPDATE_MANIPULATION = 10
    SKETCH = 11
    ROOT_SAMPLES = 12
    PROXY_CLIENTS = 13
    TEST_SHARE = 14
    POISONED_SAMPLES = 15
    WEAK_NOISE = 16
    BUCKETS = 17
    SAMPLED_COORDINATES = 18
    CLIENT_GROUPS = 19
    AUGMENTATION = 20
    NOISE_INPUTS = 21
    INDICATOR_SAMPLES = 22
    REMOVAL = 23
    SMOOTHING = 24
    ROOT_TRAINING = 25


def generator(seed: int, purpose: Purpose, *spawn_key: int) -> np.random.Generator:
    """Return the generator for one purpose; `spawn_key` is e.g. ``(server_round, client_id)``."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(purpose, *spawn_key)))


def integer_seed(seed: int, purpose: Purpose, *spawn_key: int) -> int:
    """Return a seed in [0, 2**63) for a library that takes an integer, such as PyTorch."""
    return int(generator(seed, purpose, *spawn_key).integers(2**63))
