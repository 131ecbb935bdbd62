"""ClipAvg: each client's average gradient is clipped to a bound that decays over the rounds.

The second defence of the article that this project grew from (docs/reproduction.md), with
g_i = Δ_i / (-lr·T_i) and γ_t = γ·(t+1)^(-decay), t = 0, 1, ….
Deviations: the listing divides γ_t by the norm of whichever client came last, here each client's own norm
counts; where T differs between clients, each uses its own.

It assumes that the clients' learning rate and steps are known. Cost: two passes over the updates.
"""

from typing import Unpack

from fl_backdoor.core.types import NonNegative, Positive
from strategies.base import ClientUpdates
from strategies.chain.kinds import UpdateStep
from strategies.chain.rows import Change
from strategies.numerics.clipping import clip_coefficients
from strategies.robust_strategy import StrategyArguments


def gamma_t(clip_gamma: float, clip_decay: float, server_round: int) -> float:
    """Return γ_t = γ·(t+1)^(-decay) for round t + 1 = `server_round`."""
    return float(clip_gamma * server_round**-clip_decay)


class ClipAvg(UpdateStep):
    """The weighted mean of updates whose average gradients are no longer than γ_t.

    Buffers have no gradient to clip: the median over all clients is taken.

    Parameters
    ----------
    clip_gamma
        γ, the bound on ‖g_i‖₂ in the first round.
    clip_decay
        How fast it tightens; 0 keeps it.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    judges_gradients = True

    def __init__(
        self,
        *,
        clip_gamma: Positive = 1.0,
        clip_decay: NonNegative = 0.3,
        **flower: Unpack[StrategyArguments],
    ) -> None:
        super().__init__(**flower)
        self.clip_gamma = clip_gamma
        self.clip_decay = clip_decay

    def change(self, clients: ClientUpdates) -> Change:
        """Clip the updates; whoever was clipped is flagged."""
        bound = gamma_t(self.clip_gamma, self.clip_decay, clients.server_round)
        coefficients = clip_coefficients(clients.gradient_norms, bound)
        return Change(coefficients, flagged=coefficients < 1)
