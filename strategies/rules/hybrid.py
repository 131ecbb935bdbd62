"""Hybrid: ClipAvg under a sensitive IQR monitor of gradient norms.

The third defence of the article that this project grew from (docs/reproduction.md). An average gradient over
Q3 + k·IQR of all norms is suspicious, and clipped at ρ·γ_t; what happens to the others
differs between the article's prose (clipped at γ_t) and its listing (left alone). Deviations: as in
`strategies.rules.clip_avg`.

It assumes that the clients' learning rate and steps are known. Cost: two passes over the updates.
"""

from typing import Unpack

import numpy as np

from fl_backdoor.core.types import NonNegative, Positive, Ratio
from strategies.base import ClientUpdates
from strategies.chain.kinds import UpdateStep
from strategies.chain.rows import Change
from strategies.numerics.clipping import clip_coefficients
from strategies.numerics.iqr import above
from strategies.robust_strategy import StrategyArguments
from strategies.rules.clip_avg import gamma_t


class Hybrid(UpdateStep):
    """The weighted mean of updates, the suspicious ones clipped harder.

    Buffers have no gradient to clip: the median over all clients is taken.

    Parameters
    ----------
    clip_gamma, clip_decay
        γ and the decay of γ_t, as in ClipAvg.
    iqr_k
        k of the monitor on ‖g_i‖₂.
    suspect_ratio
        ρ: suspicious gradients are clipped at ρ·γ_t; 1 is the listing.
    clip_unsuspicious
        Whether the others are clipped at γ_t (the prose) or left alone (the listing).
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    judges_gradients = True

    def __init__(
        self,
        *,
        clip_gamma: Positive = 1.0,
        clip_decay: NonNegative = 0.5,
        iqr_k: NonNegative = 0.3,
        suspect_ratio: Ratio = 1.0,
        clip_unsuspicious: bool = False,
        **flower: Unpack[StrategyArguments],
    ) -> None:
        super().__init__(**flower)
        self.clip_gamma = clip_gamma
        self.clip_decay = clip_decay
        self.iqr_k = iqr_k
        self.suspect_ratio = suspect_ratio
        self.clip_unsuspicious = clip_unsuspicious

    def change(self, clients: ClientUpdates) -> Change:
        """Clip the updates; the suspicious are flagged."""
        norms = clients.gradient_norms
        bound = gamma_t(self.clip_gamma, self.clip_decay, clients.server_round)
        suspicious = above(norms, self.iqr_k)
        others = clip_coefficients(norms, bound) if self.clip_unsuspicious else np.ones_like(norms)
        amplified = clip_coefficients(norms, self.suspect_ratio * bound)
        return Change(np.where(suspicious, amplified, others), flagged=suspicious)
