"""A workbench on a PyTorch network, in this process."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fl_backdoor.core.types import ModelArrays, ParameterVector
from fl_backdoor.models.factory import load_arrays, state_arrays
from strategies.workbench import Inputs, RootData

BATCH_SIZE = 256
"""Samples that are answered at a time."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Have PyTorch compute in one thread here: how many there are is seen in the last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class TorchWorkbench:
    """See `strategies.workbench.Workbench`, which says what each method returns.

    Parameters
    ----------
    make_network
        Builds the network, on the device that it is to run on; its weights do not matter.
    input_shape
        The shape of one sample as the network takes it.
    num_classes
        How many classes the network tells apart.
    root
        The server's own samples; None: it has none.
    local_update
        From a global model and a round to the update of an honest client that has all of `root`.
    """

    make_network: Callable[[], nn.Module]
    input_shape: tuple[int, ...]
    num_classes: int
    root: RootData | None = None
    local_update: Callable[[ModelArrays, int], ParameterVector] | None = None

    def network(self, model: ModelArrays) -> nn.Module:
        """Return a new network with the tensors of `model`."""
        network = self.make_network()
        load_arrays(network, model)
        return network.eval()

    def arrays(self, network: nn.Module) -> ModelArrays:
        """Return copies of a network's tensors."""
        return state_arrays(network)

    def scores(self, model: ModelArrays, inputs: Inputs) -> NDArray[np.float32]:
        """Return logits."""
        return _answers(self.network(model), inputs)

    def features(self, model: ModelArrays, inputs: Inputs) -> NDArray[np.float32]:
        """Return what the last linear layer is given; raises ValueError if there is none."""
        network = self.network(model)
        layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
        if not layers:
            raise ValueError("the network has no linear layer, before which its features would be")
        given: list[torch.Tensor] = []
        layers[-1].register_forward_pre_hook(lambda _, inputs: given.append(inputs[0].flatten(1)))
        _answers(network, inputs)
        return torch.cat(given).float().cpu().numpy()

    def train_on_root(self, model: ModelArrays, server_round: int) -> ParameterVector:
        """Return the update of an honest client; raises ValueError if nobody said how clients train."""
        if self.local_update is None:
            raise ValueError("the workbench was not told how clients train: give it local_update")
        with one_thread():
            return self.local_update(model, server_round)


@torch.inference_mode()
def _answers(network: nn.Module, inputs: Inputs) -> NDArray[np.float32]:
    given = torch.as_tensor(inputs, device=next(network.parameters()).device)
    with one_thread():
        answers = [network(batch) for batch in torch.split(given, BATCH_SIZE)]
        return torch.cat(answers).float().cpu().numpy()
