"""Clients that the server plays itself, with samples of its own: what honest clients might send.

Whoever has much of one class and little of another pulls the model in a direction of its own. What such
pulls look like can be seen by training on the same model with all kinds of label shares.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

from fl_backdoor.config import ExperimentConfig
from fl_backdoor.models.factory import load_arrays, state_arrays
from fl_backdoor.seeding import Purpose, generator, integer_seed
from fl_backdoor.types import ModelArrays, ParameterVector
from fl_backdoor.world import World

CONCENTRATION = 0.5
"""Of the Dirichlet law of label shares: a few classes make up most of a virtual client's samples."""


def stage_ends(num_steps: int, num_stages: int) -> set[int]:
    """Return after which steps parts of a training end that are as equal as they can be."""
    return {math.ceil(num_steps * stage / num_stages) for stage in range(1, num_stages + 1)}


class VirtualClients:
    """Trains on the server's own samples as clients do on theirs, each time with other label shares.

    Parameters
    ----------
    config
        Checked, its data set resolved, with at least one of ``server.root_samples``.
    partition_sizes
        Number of samples of each real client.
    go_on
        Called before each client is trained; may raise to end that.
    """

    def __init__(
        self,
        config: ExperimentConfig,
        partition_sizes: Sequence[int],
        go_on: Callable[[], None] = lambda: None,
    ) -> None:
        self.config = config
        self.go_on = go_on
        # As many steps as real clients take, and no fewer samples than there are.
        self.num_drawn = max(int(np.median(partition_sizes)), config.server.root_samples)
        # A model of its own: the one of the server is being evaluated while clients train.
        self.world = World(config)

    def updates(
        self, model: ModelArrays, server_round: int, count: int, num_stages: int
    ) -> Iterator[ParameterVector]:
        """Yield what clients make of a model, local minus global parameters, float32 ``(n_params,)``.

        Parameters
        ----------
        model
            The global model, in ``state_dict`` order.
        server_round
            Counted from 1; other rounds have other clients.
        count
            How many clients.
        num_stages
            How often each shows what it has learnt so far: at the end of equal parts of its training, as far
            as it takes as many steps.
        """
        # One thread: how many there are would be seen in the last bits.
        with ThreadPoolExecutor(1, "virtual clients", torch.set_num_threads, (1,)) as thread:
            for number in range(count):
                self.go_on()
                yield from thread.submit(self._learnt, model, server_round, number, num_stages).result()

    def _learnt(
        self, model: ModelArrays, server_round: int, number: int, num_stages: int
    ) -> list[ParameterVector]:
        world, key = self.world, (Purpose.VIRTUAL_CLIENTS, server_round, number)
        samples = world.test_samples.select(self._drawn(generator(self.config.seed, *key)))
        seed = integer_seed(self.config.seed, *key)
        torch.manual_seed(seed)  # for models that drop out at random
        load_arrays(world.model, model)
        ends = stage_ends(self.config.client.num_steps(len(samples)), num_stages)
        steps = world.trainer.steps(samples, torch.Generator().manual_seed(seed))
        return [world.layout.update(state_arrays(world.model), model) for taken in steps if taken in ends]

    def _drawn(self, random: np.random.Generator) -> NDArray[np.int64]:
        """Draw samples with replacement, by label shares of a Dirichlet law."""
        own = self.world.root_rows
        labels = self.world.data.test.labels[own]
        classes = np.bincount(labels, minlength=self.world.dataset.num_classes)
        shares = random.dirichlet(np.full(len(classes), CONCENTRATION)) / np.maximum(classes, 1)
        weights = shares[labels]
        return random.choice(own, self.num_drawn, p=weights / weights.sum())
