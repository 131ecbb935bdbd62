"""A client that trains on its own data and says what it did."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from flwr.client import NumPyClient

from fl_backdoor.core.layout import Layout
from fl_backdoor.core.report_names import NUM_STEPS, TRAIN_LOSS, TRAIN_SECONDS
from fl_backdoor.core.seeding import Purpose, integer_seed
from fl_backdoor.core.types import ModelArrays
from fl_backdoor.data.samples import CLEAN, Poison, Samples
from fl_backdoor.models.factory import load_arrays, state_arrays
from fl_backdoor.training.trainer import Trainer, TrainResult

SERVER_ROUND = "server_round"


@dataclass(frozen=True)
class LocalTask:
    """What a client has and how it trains.

    Parameters
    ----------
    client_id
        Its partition id.
    seed
        The run's seed; batches follow from it, the round and the client id.
    samples
        The client's own samples.
    trainer
        Trains a model, whose state is overwritten; clients of a worker share it.
    layout
        The model's tensors, and which of them count as parameters in this experiment.
    """

    client_id: int
    seed: int
    samples: Samples
    trainer: Trainer
    layout: Layout


class BenignClient(NumPyClient):
    """Flower's client around local training."""

    def __init__(self, task: LocalTask) -> None:
        self.task = task

    def fit(
        self, parameters: Sequence[np.ndarray], config: dict[str, bool | bytes | float | int | str]
    ) -> tuple[ModelArrays, int, dict[str, bool | bytes | float | int | str]]:
        """Train the global model on the client's samples.

        Parameters
        ----------
        parameters
            The global model, in the layout's order.
        config
            ``server_round``, counted from 1.

        Returns
        -------
        tuple
            The local model, the number of samples, and metrics: steps, mean loss, seconds.
        """
        task = self.task
        server_round = int(config[SERVER_ROUND])
        started = time.perf_counter()
        load_arrays(task.trainer.model, parameters)
        result = self.train(server_round, self.poison(server_round))
        local = self.submitted(parameters, state_arrays(task.trainer.model), server_round)
        metrics: dict[str, bool | bytes | float | int | str] = {
            NUM_STEPS: result.num_steps,
            TRAIN_LOSS: result.loss,
            TRAIN_SECONDS: time.perf_counter() - started,
        }
        return local, len(task.samples), metrics

    def train(self, server_round: int, poison: Poison) -> TrainResult:
        """Train the model on the batches of this round, each poisoned."""
        return self.train_with(self.task.trainer, server_round, poison)

    def train_with(self, trainer: Trainer, server_round: int, poison: Poison) -> TrainResult:
        """Train a trainer's model on the batches of this round, always the same ones, each poisoned."""
        task = self.task
        seed = integer_seed(task.seed, Purpose.LOCAL_TRAINING, server_round, task.client_id)
        torch.manual_seed(seed)  # for models that drop out at random
        generator = torch.Generator().manual_seed(seed)
        return trainer.train(task.samples, generator, poison)

    def poison(self, server_round: int) -> Poison:
        """Return what is done to each batch of this round: nothing."""
        return CLEAN

    def submitted(
        self, received: Sequence[np.ndarray], trained: ModelArrays, server_round: int
    ) -> ModelArrays:
        """Return the model that is sent to the server: the one that was trained."""
        return trained
