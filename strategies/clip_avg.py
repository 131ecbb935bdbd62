"""ClipAvg: each client's average gradient is clipped to a bound that decays over the rounds.

The second defence of the article that this project grew from (docs/reproduction.md), with
g_i = Δ_i / (-lr·T_i) and γ_t = γ·(t+1)^(-decay), t = 0, 1, ….
Deviations: the listing divides γ_t by the norm of whichever client came last, here each client's own norm
counts; where T differs between clients, each uses its own.
"""

import numpy as np

from fl_backdoor.core.types import ClientMask, ClientVector, NonNegative, Positive
from strategies.base import Aggregation, ClientUpdates, Federation, RobustStrategy, clipped_mean


def gamma_t(clip_gamma: float, clip_decay: float, server_round: int) -> float:
    """Return γ_t = γ·(t+1)^(-decay) for round t + 1 = `server_round`."""
    return float(clip_gamma * server_round**-clip_decay)


def clip_coefficients(norms: ClientVector, bound: float) -> ClientVector:
    """Return min(1, bound / norm) for each client; 1 where the norm is 0."""
    # The division is left out where nothing is clipped: norm and bound may both be 0.
    return np.divide(bound, norms, out=np.ones_like(norms), where=norms > bound)


def clipped_to_median(norms: ClientVector, trusted: ClientMask) -> ClientVector:
    """Return coefficients under which nothing is longer than the median of the trusted, or of all."""
    those = norms[trusted] if trusted.any() else norms
    return clip_coefficients(norms, float(np.median(those)))


class ClipAvg(RobustStrategy):
    """The weighted mean of updates whose average gradients are no longer than γ_t.

    Buffers have no gradient to clip: the median over all clients is taken.

    Parameters
    ----------
    federation
        What the server knows of the run.
    clip_gamma
        γ, the bound on ‖g_i‖₂ in the first round.
    clip_decay
        How fast it tightens; 0 keeps it.
    """

    def __init__(
        self, federation: Federation, *, clip_gamma: Positive = 1.0, clip_decay: NonNegative = 0.3
    ) -> None:
        super().__init__(federation)
        self.clip_gamma = clip_gamma
        self.clip_decay = clip_decay

    def aggregate(self, clients: ClientUpdates) -> Aggregation:
        """Return the mean of the clipped updates; whoever was clipped is flagged."""
        bound = gamma_t(self.clip_gamma, self.clip_decay, clients.server_round)
        coefficients = clip_coefficients(clients.gradient_norms, bound)
        return clipped_mean(clients, coefficients, flagged=coefficients < 1)
