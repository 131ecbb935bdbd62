"""Clients with more samples take part more often.

B. McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, AISTATS 2017,
draw uniformly and weight by samples; X. Li et al., On the Convergence of FedAvg on Non-IID Data, ICLR 2020,
https://arxiv.org/abs/1907.02189, scheme I, draw by samples and weight equally. Theirs is a draw
with replacement; here nobody takes part twice in a round.
"""

import numpy as np

from fl_backdoor.federation.selection.base import Candidates, ClientIds, Selection


class BySamples(Selection):
    """Draws one after the other, each time in proportion to the samples of whoever is left."""

    def drawn(self, server_round: int, candidates: Candidates, random: np.random.Generator) -> ClientIds:
        """Return different clients, malicious or not, larger ones earlier and more often."""
        sizes = np.asarray(candidates.sizes, dtype=np.float64)
        return random.choice(
            len(sizes), size=candidates.num_participants, replace=False, p=sizes / sizes.sum()
        )
