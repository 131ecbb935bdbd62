"""Weak differential privacy: Gaussian noise on the global model, too little of it to protect anybody's data.

Z. Sun, P. Kairouz, A. T. Suresh and H. B. McMahan, Can You Really Backdoor Federated Learning?, 2019,
https://arxiv.org/abs/1911.07963, "(Weak) differential privacy": noise N(0, σ²) on each parameter after each
round, beside norm clipping. σ is absolute: it is not multiplied by a norm, nor by the server's learning rate.
Over n_params parameters noise is σ·√n_params long, 84 for the paper's σ = 0.025 and a ResNet-18: smaller
models bear a larger σ. Deviation: BatchNorm's statistics, which the paper does not speak of, get none.

Cost: a normal number a parameter.
"""

from typing import Unpack

import numpy as np

from fl_backdoor.core.seeding import Purpose, generator
from fl_backdoor.core.types import ModelArrays, NonNegative
from strategies.base import Aggregation, ClientUpdates
from strategies.chain.kinds import ModelStep
from strategies.robust_strategy import StrategyArguments


class WeakNoise(ModelStep):
    """The model, with noise on its parameters.

    Parameters
    ----------
    noise_std
        σ, the noise's standard deviation.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    def __init__(self, *, noise_std: NonNegative = 0.002, **flower: Unpack[StrategyArguments]) -> None:
        super().__init__(**flower)
        self.noise_std = noise_std

    def finish(self, model: ModelArrays, clients: ClientUpdates, aggregation: Aggregation) -> ModelArrays:
        """Return the model with noise; another round, or another such step in it, has other noise."""
        layout, seed = self.server.layout, self.server.seed
        random = generator(seed, Purpose.WEAK_NOISE, clients.server_round, self.occurrence)
        noise = np.float32(self.noise_std) * random.standard_normal(layout.num_params, dtype=np.float32)
        return layout.moved(model, noise, layout.buffers(model))
