"""CRFL: the global model is clipped and perturbed after each round, and noisy copies of it vote.

C. Xie, M. Chen, P.-Y. Chen and B. Li, CRFL: Certifiably Robust Federated Learning against Backdoor Attacks,
ICML 2021, https://arxiv.org/abs/2106.08283. Algorithm 1, training: the model's parameters w_t, not the
round's update, become w_t / max(1, ‖w_t‖₂ / ρ_t), and each round but the last adds N(0, σ²) to every one.
Algorithm 2, testing: on each sample the majority decides of M copies of the clipped model, each with noise
N(0, σ²) of its own. In the paper ρ_t grows with t (0.1·t + 2 on MNIST: `bound` 2, `bound_growth` 0.1), and σ
is 0.01; the authors' code never lets ρ_t be more than 15 on MNIST, which is the bound here.

The vote is what accuracy, loss, ASR and SR of every round are measured with; the model that is kept in files,
and that clients are sent, is the one model. Deviations: the paper's certificates, for which 1,000 copies
vote, are not computed, and 20 vote here; the bound that suits a model depends on its length, which grows with
its size; BatchNorm's statistics are neither clipped nor perturbed.

It assumes nothing of clients. Cost: a normal number a parameter; and each evaluation takes M times as long,
with M normal numbers a parameter.
"""

from collections.abc import Iterator, Mapping
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.seeding import Purpose, generator
from fl_backdoor.core.types import ModelArrays, NonNegative, ParameterVector, Positive, PositiveCount
from strategies.base import Aggregation, ClientUpdates, Voters
from strategies.chain.kinds import ModelStep
from strategies.robust_strategy import StrategyArguments

PERTURBED_IN = "perturbed_in"

OWN = 0
"""Whose noise: that of the model itself; its voters' are numbered from 1."""


class CRFL(ModelStep):
    """The model, no longer than its bound and with noise, judged by the vote of copies with other noise.

    Parameters
    ----------
    bound, bound_growth
        In round t the parameters are clipped to the norm ρ_t = bound + bound_growth·t.
    noise_std
        σ, the standard deviation of all noise.
    num_votes
        M, how many copies vote.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    def __init__(
        self,
        *,
        bound: Positive = 15.0,
        bound_growth: NonNegative = 0.0,
        noise_std: NonNegative = 0.01,
        num_votes: PositiveCount = 20,
        **flower: Unpack[StrategyArguments],
    ) -> None:
        super().__init__(**flower)
        self.bound = bound
        self.bound_growth = bound_growth
        self.noise_std = noise_std
        self.num_votes = num_votes
        self._perturbed_in = 0

    def finish(self, model: ModelArrays, clients: ClientUpdates, aggregation: Aggregation) -> ModelArrays:
        """Return the model clipped and, but for the last round, with noise."""
        layout, server_round = self.server.layout, clients.server_round
        parameters = layout.vector(model)
        length = float(np.linalg.norm(parameters.astype(np.float64)))
        bound = self.bound + self.bound_growth * server_round
        movement = np.float32(min(1.0, bound / length) - 1 if length else 0.0) * parameters
        self._perturbed_in = 0 if server_round == self.server.last_round else server_round
        if self._perturbed_in:
            movement += self._noise(server_round, OWN)
        return layout.moved(model, movement, layout.buffers(model))

    def voters(self) -> Voters:
        """Return what makes the copies: of the model, their noise in the place of its own."""
        perturbed_in = self._perturbed_in

        def copies(model: ModelArrays) -> Iterator[ModelArrays]:
            layout = self.server.layout
            own = self._noise(perturbed_in, OWN) if perturbed_in else np.float32(0)
            for number in range(1, self.num_votes + 1):
                noise = self._noise(perturbed_in, number) - own
                yield layout.moved(model, noise, layout.buffers(model))

        return copies

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return in which round the noise was drawn that the model has; 0: it has none."""
        return super().state() | {PERTURBED_IN: np.array(self._perturbed_in)}

    def restore(self, server_round: int, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Take it back."""
        super().restore(server_round, state)
        self._perturbed_in = int(state.get(PERTURBED_IN, np.array(0)))

    def _noise(self, server_round: int, number: int) -> ParameterVector:
        random = generator(self.server.seed, Purpose.SMOOTHING, server_round, self.occurrence, number)
        num_params = self.server.layout.num_params
        return np.float32(self.noise_std) * random.standard_normal(num_params, dtype=np.float32)
