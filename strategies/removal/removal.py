"""What all removals share: after which rounds they work, what they need, and where their bits come from."""

import logging
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Literal, Unpack

import numpy as np
import torch
from torch import nn

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.seeding import Purpose, integer_seed
from fl_backdoor.core.types import ModelArrays, PositiveCount
from strategies.base import Aggregation, ClientUpdates, ServerContext
from strategies.chain.kinds import ModelStep
from strategies.removal.channels import convolutions
from strategies.removal.training import accuracy
from strategies.robust_strategy import StrategyArguments
from strategies.torch_workbench import one_thread
from strategies.workbench import Needs, RootData, Workbench

log = logging.getLogger("fl_backdoor")

WorksOn = Literal["convolutions", "images", "anything"]

FEWEST_SAMPLES = 2
"""BatchNorm has no variance of one."""


class Removal(ModelStep):
    """A step that works on the network itself, after the last round or after every so many.

    Parameters
    ----------
    every
        After how many rounds again and again; None: after the last round alone. In a round that keeps the
        model nothing is removed.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    needs: Needs = "root data"

    works_on: ClassVar[WorksOn] = "convolutions"
    """Without which a network is refused. Whatever judges convolutions leaves other layers as they are."""

    def __init__(self, *, every: PositiveCount | None = None, **flower: Unpack[StrategyArguments]) -> None:
        super().__init__(**flower)
        self.every = every

    @abstractmethod
    def remove(self, network: nn.Module, random: torch.Generator) -> None:
        """Take a backdoor out of a network, in place.

        Parameters
        ----------
        network
            With the global model's parameters and buffers, in evaluation mode.
        random
            On the CPU; what is drawn elsewhere, as by dropout, follows from the same seed.
        """

    @property
    def bench(self) -> Workbench:
        """What turns arrays into networks."""
        assert self.server.workbench is not None
        return self.server.workbench

    @property
    def root(self) -> RootData:
        """The server's own samples."""
        assert self.bench.root is not None
        return self.bench.root

    def prepare(self, server: ServerContext) -> None:
        """Hear of the server.

        Raises
        ------
        ConfigError
            If it has no network or too few samples of its own, if nobody knows which round is the last, or if
            the network has none of the layers that are judged.
        """
        super().prepare(server)
        if self.every is None and server.num_rounds is None:
            raise ConfigError(
                "strategy.every", None, "nobody knows which round is the last: say a number of rounds"
            )
        name = type(self).__name__
        if self.needs == "root data" and len(self.root.labels) < FEWEST_SAMPLES:
            allowed = f"{name} needs at least {FEWEST_SAMPLES} samples of the server's own"
            raise ConfigError("server.root_samples", len(self.root.labels), allowed)
        if self.works_on == "anything":
            return
        network = self.bench.network(
            [np.zeros(tensor.shape, tensor.dtype) for tensor in server.layout.tensors]
        )
        if self.works_on == "convolutions" and not convolutions(network):
            allowed = f"{name} judges convolutions of images: choose a model that has some"
            raise ConfigError("model", type(network).__name__, allowed)
        if len(self.bench.input_shape) != 3:
            raise ConfigError(
                "model", type(network).__name__, f"{name} perturbs images, this one takes others"
            )

    def finish(self, model: ModelArrays, clients: ClientUpdates, aggregation: Aggregation) -> ModelArrays:
        """Return what the network has become, where the round's turn has come."""
        if not self._is_due(clients.server_round):
            return model
        network = self.bench.network(model)
        seed = integer_seed(self.server.seed, Purpose.REMOVAL, clients.server_round, self.occurrence)
        name, root = type(self).__name__, self.bench.root
        with _reproducibly(seed):
            before = None if root is None else accuracy(network, root)
            self.remove(network, torch.Generator().manual_seed(seed))
            after = None if root is None else accuracy(network, root)
        cleaned = self.bench.arrays(network)
        if not all(np.isfinite(array).all() for array in cleaned):
            reason = "has diverged, the model stays as it was: try a lower rate"
            log.warning("round %d: %s %s", clients.server_round, name, reason)
            return model
        if before is not None:
            told = "round %d: %s takes accuracy on the server's own samples from %.3f to %.3f"
            log.info(told, clients.server_round, name, before, after)
        return cleaned

    def _is_due(self, server_round: int) -> bool:
        if self.every is None:
            return server_round == (self.server.last_round or self.server.num_rounds)
        return server_round % self.every == 0


@contextmanager
def _reproducibly(seed: int) -> Iterator[None]:
    """Work by one seed and in one thread, and leave the global generators as they were."""
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    devices = range(torch.cuda.device_count()) if on_gpu else ()
    with torch.random.fork_rng(devices), one_thread():
        torch.manual_seed(seed)
        yield
