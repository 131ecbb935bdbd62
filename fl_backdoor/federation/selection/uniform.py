"""The plain draw: every client is as likely as any other."""

import numpy as np

from fl_backdoor.federation.selection.base import Candidates, ClientIds, Selection


class Uniform(Selection):
    """Draws without replacement, malicious or not.

    Flower's node ids are random in every run, so participants are drawn by client id: the same seed asks the
    same clients.
    """

    def drawn(self, server_round: int, candidates: Candidates, random: np.random.Generator) -> ClientIds:
        """Return different clients, as the random numbers have it."""
        return random.choice(candidates.num_clients, size=candidates.num_participants, replace=False)
