"""FedAdam and FedYogi: the server's steps are shorter in coordinates that have moved much.

S. J. Reddi, Z. Charles, M. Zaheer, Z. Garrett, K. Rush, J. Konečný, S. Kumar and H. B. McMahan, Adaptive
Federated Optimization, ICLR 2021, https://arxiv.org/abs/2003.00295, algorithm 2:

    m_t = β₁·m_(t-1) + (1 - β₁)·Δ_t
    FedAdam: v_t = β₂·v_(t-1) + (1 - β₂)·Δ_t²
    FedYogi: v_t = v_(t-1) - (1 - β₂)·Δ_t²·sign(v_(t-1) - Δ_t²)
    x_(t+1) = x_t + η·m_t / (√v_t + τ)

with m = 0 and v = τ² before the first round: the paper asks for v ≥ τ². Like it, and unlike Flower's FedAdam,
this corrects no bias of the first rounds. Deviation: BatchNorm's buffers stay as the rule has merged them
(`strategies.steps.server_optimizer`).

A coordinate moves by about η whatever the length of the updates, a coordinate of an attacker's alone as well:
what a rule has made small before can become large again. η is to be tuned, and is far below 1.

Cost: about ten passes over the parameters, and two vectors kept.
"""

from abc import abstractmethod
from typing import Unpack

import numpy as np

from fl_backdoor.core.types import Decay, ParameterVector, Positive
from strategies.robust_strategy import StrategyArguments
from strategies.steps.server_optimizer import Memory, ServerOptimizer

LARGEST_SQUARE = np.float32(1e38)
"""Squares beyond float32 would leave infinity, and soon NaN, in the memory for good."""


class AdaptiveOptimizer(ServerOptimizer):
    """What both have in common: all but how squares are remembered.

    Parameters
    ----------
    eta
        η, about how far a coordinate moves in a round.
    beta1, beta2
        β₁ and β₂, in [0, 1), of the movements and of their squares.
    tau
        τ, how adaptive it is: with a large one the model moves by η/τ times the mean movement.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    remembered = ("mean", "squares")

    def __init__(
        self,
        *,
        eta: Positive = 0.01,
        beta1: Decay = 0.9,
        beta2: Decay = 0.99,
        tau: Positive = 1e-3,
        **flower: Unpack[StrategyArguments],
    ) -> None:
        super().__init__(eta=eta, **flower)
        self.beta1 = beta1
        self.beta2 = beta2
        self.tau = tau

    def after(self, movement: ParameterVector) -> tuple[Memory, ParameterVector]:
        """Return m / (√v + τ)."""
        before, new = np.float32(self.beta1), np.float32(1 - self.beta1)
        mean = before * self.recalled("mean", movement) + new * movement
        new_squares = np.minimum(movement**2, LARGEST_SQUARE)
        squares = self.squares(self.recalled("squares", movement, self.tau**2), new_squares)
        moved = mean / (np.sqrt(squares) + np.float32(self.tau))
        return {"mean": mean, "squares": squares}, moved.astype(np.float32, copy=False)

    @abstractmethod
    def squares(self, before: ParameterVector, new: ParameterVector) -> ParameterVector:
        """Return v_t for v_(t-1) and Δ_t², in a new array."""


class FedAdam(AdaptiveOptimizer):
    """The model, moved by Adam; its settings are those of `AdaptiveOptimizer`."""

    def squares(self, before: ParameterVector, new: ParameterVector) -> ParameterVector:
        """Return the moving mean of squares."""
        return np.float32(self.beta2) * before + np.float32(1 - self.beta2) * new


class FedYogi(AdaptiveOptimizer):
    """The model, moved by Yogi, whose v falls no faster than it rises; see `AdaptiveOptimizer`."""

    def squares(self, before: ParameterVector, new: ParameterVector) -> ParameterVector:
        """Return v, moved towards the squares by a share of them."""
        towards: ParameterVector = np.sign(before - new)
        return before - np.float32(1 - self.beta2) * new * towards
