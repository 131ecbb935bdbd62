"""What a rule may try models out with: the network, and samples of the server's own.

Most rules judge updates as vectors. Some look at what models answer, or train them; those say so in `needs`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.types import ModelArrays, ParameterVector

if TYPE_CHECKING:
    import torch

Inputs: TypeAlias = "torch.Tensor | NDArray[np.float32]"
"""Samples as a network takes them, ``(n, *input_shape)``."""

Needs = Literal["nothing", "network", "root data"]
"""What a rule cannot work without: nothing but updates, a `Workbench`, or one with samples of its own."""


@dataclass(frozen=True)
class RootData:
    """Labelled samples that the server has for itself; none of them is tested on.

    Parameters
    ----------
    inputs
        As the network takes them, ``(n, *input_shape)``, on its device.
    labels
        int64 ``(n,)``, on the same device.
    """

    inputs: "torch.Tensor"
    labels: "torch.Tensor"


@runtime_checkable
class Workbench(Protocol):
    """A place to try models out. Everything is computed in one thread: the bits are those of any machine."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one sample as the network takes it: ``(channels, height, width)`` of an image."""

    @property
    def num_classes(self) -> int:
        """How many classes the network tells apart."""

    @property
    def root(self) -> RootData | None:
        """The server's own samples; None: it has none."""

    def network(self, model: ModelArrays) -> "torch.nn.Module":
        """Return a new network with these tensors, in the model's order, ready to predict."""

    def arrays(self, network: "torch.nn.Module") -> ModelArrays:
        """Return copies of a network's tensors, in the model's order."""

    def scores(self, model: ModelArrays, inputs: "Inputs") -> NDArray[np.float32]:
        """Return what the network answers, logits ``(n, num_classes)``, float32."""

    def features(self, model: ModelArrays, inputs: "Inputs") -> NDArray[np.float32]:
        """Return what the network's last linear layer is given, float32 ``(n, width)``."""

    def train_on_root(self, model: ModelArrays, server_round: int) -> ParameterVector:
        """Return the update of an honest client that has all of `root`, float32 ``(n_params,)``."""


def require(needs: Needs, workbench: Workbench | None, rule: str) -> None:
    """Refuse a server that lacks what a rule needs.

    Raises
    ------
    ConfigError
        If there is no workbench, or it has no samples and the rule wants some.
    """
    if needs == "nothing":
        return
    if workbench is None:
        raise ConfigError("workbench", None, f"{rule} tries models out: give it a TorchWorkbench")
    if needs == "root data" and workbench.root is None:
        allowed = f"must be at least 1: {rule} needs labelled samples of the server's own"
        raise ConfigError("server.root_samples", 0, allowed)
