"""Clients that the server plays itself, with samples of its own: what honest clients might send.

Whoever has much of one class and little of another pulls the model in a direction of its own. What such
pulls look like can be seen by training on the same model with all kinds of label shares.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import torch
from numpy.typing import NDArray

from fl_backdoor.config.schema import AugmentationConfig, ExperimentConfig
from fl_backdoor.core.progress import OnStep, tell_nobody
from fl_backdoor.core.seeding import Purpose, generator, integer_seed
from fl_backdoor.core.types import ModelArrays, ParameterVector
from fl_backdoor.federation.context import ExperimentContext
from fl_backdoor.federation.workers import Workers
from fl_backdoor.models.factory import load_arrays, state_arrays

CONCENTRATION = 0.5
"""Of the Dirichlet law of label shares: a few classes make up most of a proxy client's samples."""


@dataclass(frozen=True)
class ProxyTask:
    """What one proxy client does in a round.

    Parameters
    ----------
    model
        The global model, in ``state_dict`` order.
    server_round, number
        Which client it is: in other rounds there are others.
    num_stages
        How often it shows what it has learnt so far.
    """

    model: ModelArrays
    server_round: int
    number: int
    num_stages: int


class ProxyTraining:
    """Trains on the server's own samples as clients do on theirs, each time with other label shares.

    They are not augmented.

    Parameters
    ----------
    config
        Checked, its data set resolved, with at least one of ``server.root_samples``.
    num_drawn
        Number of samples that each proxy client has.
    """

    def __init__(self, config: ExperimentConfig, num_drawn: int) -> None:
        self.config = config
        self.num_drawn = num_drawn
        self.context = ExperimentContext(replace(config, augmentation=AugmentationConfig()))

    def __call__(self, task: ProxyTask) -> list[ParameterVector]:
        """Return local minus global parameters at the end of each stage, each float32 ``(n_params,)``."""
        context, key = self.context, (Purpose.PROXY_CLIENTS, task.server_round, task.number)
        samples = context.training_samples.select(self.drawn(generator(self.config.seed, *key)))
        seed = integer_seed(self.config.seed, *key)
        torch.manual_seed(seed)  # for models that drop out at random
        load_arrays(context.model, task.model)
        context.begin_round(task.server_round)
        ends = stage_ends(context.trainer.num_steps(len(samples)), task.num_stages)
        steps = context.trainer.steps(samples, torch.Generator().manual_seed(seed))
        return [
            context.layout.update(state_arrays(context.model), task.model) for taken in steps if taken in ends
        ]

    def drawn(self, random: np.random.Generator) -> NDArray[np.int64]:
        """Draw samples of the server's with replacement, by label shares of a Dirichlet law."""
        own = self.context.root_rows
        labels = self.context.data.train.labels[own]
        classes = np.bincount(labels, minlength=self.context.dataset.num_classes)
        shares = random.dirichlet(np.full(len(classes), CONCENTRATION)) / np.maximum(classes, 1)
        weights = shares[labels]
        return random.choice(own, self.num_drawn, p=weights / weights.sum())


def stage_ends(num_steps: int, num_stages: int) -> set[int]:
    """Return after which steps parts of a training end that are as equal as they can be."""
    return {math.ceil(num_steps * stage / num_stages) for stage in range(1, num_stages + 1)}


class ProxyClients:
    """Trains proxy clients in processes of their own, each on one core; on a GPU in one process.

    Close them: the processes stay for the next round otherwise.

    Parameters
    ----------
    config
        Checked, its data set resolved; without ``server.root_samples`` none can be trained.
    partition_sizes
        Number of samples of each real client. Proxy ones have as many as the one in the middle, and no
        fewer than the server has.
    num_cores
        How many may be trained side by side.
    go_on
        Called again and again meanwhile; may raise to end that.
    on_step
        Told how many of a round have been trained.
    """

    def __init__(
        self,
        config: ExperimentConfig,
        partition_sizes: Sequence[int],
        num_cores: int = 1,
        go_on: Callable[[], None] = lambda: None,
        on_step: OnStep = tell_nobody,
    ) -> None:
        self.config = config
        self.num_drawn = max(int(np.median(partition_sizes)), config.server.root_samples)
        self.num_cores = num_cores
        self.go_on = go_on
        self.on_step = on_step

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
        tasks = (ProxyTask(model, server_round, number, num_stages) for number in range(count))
        for done, stages in enumerate(self._workers.map(tasks, self.go_on), start=1):
            self.on_step("proxy clients", done, count)
            yield from stages

    def close(self) -> None:
        """End the processes, if there are any."""
        if "_workers" in self.__dict__:
            self._workers.close()
            del self._workers

    @cached_property
    def _workers(self) -> Workers[ProxyTask, list[ParameterVector]]:
        is_on_cpu = ExperimentContext(self.config).device.type == "cpu"
        return Workers(partial(_training, self.config, self.num_drawn), self.num_cores if is_on_cpu else 1)


def _training(config: ExperimentConfig, num_drawn: int) -> ProxyTraining:
    torch.set_num_threads(1)  # how many there are would be seen in the last bits
    return ProxyTraining(config, num_drawn)
