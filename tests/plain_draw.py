"""The plain draw by NumPy alone, as runs were made before there was a choice."""

import numpy as np

PARTICIPANTS = 2
"""The number of that purpose, see `fl_backdoor.core.seeding`."""


def plain_draw(num_clients: int, num_participants: int, seed: int, server_round: int) -> list[int]:
    """Return the client ids of a round, sorted."""
    random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(PARTICIPANTS, server_round)))
    return sorted(random.choice(num_clients, size=num_participants, replace=False).tolist())
