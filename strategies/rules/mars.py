"""MARS: where two groups of models differ in what their strongest neurons amplify, the stronger one is out.

W. Wan, Y. Ning, Z. Huang, C. Hong, S. Hu, Z. Zhou, Y. Zhang, T. Zhu, W. Zhou and L. Y. Zhang, MARS: A
Malignity-Aware Backdoor Defense in Federated Learning, NeurIPS 2025, https://arxiv.org/abs/2509.20383,
algorithm 1. A backdoor hangs on few neurons that amplify its trigger:

- a neuron's backdoor energy is bounded by its Lipschitz constant (equation 3, appendix C), for an output
  channel of a convolution the spectral norm of its kernel as a matrix (input channels, kernel positions),
  times |γ|/σ where BatchNorm follows; for a neuron of a linear layer the length of its weights;
- a client's concentrated backdoor energy is made of the largest κ of each layer (equation 4);
- Wasserstein distances between these, as sets, are what k-means makes two groups of, as in the authors' code
  by the rows of the matrix of distances. If the groups' centres are less than ε apart everybody is kept, else
  the group whose centre has the smaller L1 norm, be it the smaller group.

The paper's κ = 5 % and ε = 0.03 are for ResNet-18 with BatchNorm; energies of another model may be of another
size, and ε with them. Of a layer as many are kept as the authors' code, which cuts at a quantile.
Deviations: the code looks at convolutions before a BatchNorm alone, here all layers count, as in the paper,
and any trained tensor with two axes is one, an embedding's rows as well; a centre is the mean of sorted
energies, their barycentre, where the code's depends on the order of neurons; rows that hold several clients
are judged with the variances of the global model.

It assumes no majority of benign clients, but that models of attackers amplify more; an attacker that scales
its layers against each other, or lies about its variances, can look as weak as others. Cost: two passes over
the updates, and an eigenvalue of a small matrix for each channel of each client.
"""

from dataclasses import dataclass
from math import ceil
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.seeding import Purpose, generator
from fl_backdoor.core.shares import DIGITS
from fl_backdoor.core.types import ClientMask, NonNegative, Ratio
from strategies.base import ClientUpdates, ServerContext
from strategies.chain.kinds import ChoiceStep
from strategies.chain.rows import Choice
from strategies.numerics.groups import k_means
from strategies.numerics.neurons import Amplifications, layers_of
from strategies.numerics.threads import in_order
from strategies.robust_strategy import StrategyArguments

Energies = NDArray[np.float64]
"""Of each client the concentrated backdoor energy, ascending, float64 ``(n_clients, n_energies)``."""


def strongest(energies: Amplifications, share: float) -> Amplifications:
    """Return a layer's largest energies: those from the quantile ``1 - share`` on, at least one."""
    last = len(energies) - 1
    least = ceil(round((1 - share) * last, DIGITS))
    return np.partition(energies, least)[least:]


def wasserstein_distances(energies: Energies) -> NDArray[np.float64]:
    """Return the distances of all pairs: of sets of one size, the mean difference of their sorted values."""
    return np.stack([np.abs(energies - own).mean(axis=1) for own in energies])


@dataclass(frozen=True)
class Groups:
    """Two groups of clients: how far their centres are apart, and who is in the weaker one."""

    distance: float
    weaker: ClientMask


def two_groups(energies: Energies, seed: int) -> Groups | None:
    """Return the groups that k-means finds; None: all clients have the same energies."""
    labels = k_means(wasserstein_distances(energies), 2, seed)
    if not labels.any():
        return None
    centres = [energies[labels == label].mean(axis=0) for label in (0, 1)]
    weaker = int(np.argmin([centre.sum() for centre in centres]))
    return Groups(float(np.abs(centres[0] - centres[1]).mean()), labels == weaker)


class MARS(ChoiceStep):
    """Leaves out, and flags, the group of clients with the stronger neurons.

    Parameters
    ----------
    energy_share
        κ, the share of each layer's neurons, the strongest, that count.
    distance_bound
        ε: groups whose centres are nearer than this are both kept.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    def __init__(
        self,
        *,
        energy_share: Ratio = 0.05,
        distance_bound: NonNegative = 0.03,
        **flower: Unpack[StrategyArguments],
    ) -> None:
        super().__init__(**flower)
        self.energy_share = energy_share
        self.distance_bound = distance_bound

    def prepare(self, server: ServerContext) -> None:
        """Find the layers of the model; raises ConfigError if it has none."""
        super().prepare(server)
        self._layers = layers_of(server.layout)
        if not self._layers:
            allowed = "MARS judges the neurons of layers, weights with two axes or more: it has none"
            raise ConfigError("model", "weights with one axis", allowed)

    def choose(self, clients: ClientUpdates) -> Choice:
        """Keep the weaker group, or everybody."""
        random = generator(self.server.seed, Purpose.CLIENT_GROUPS, clients.server_round)
        groups = two_groups(self.energies(clients), int(random.integers(2**32)))
        if groups is None or groups.distance < self.distance_bound:
            return Choice.of(np.ones(len(clients.updates), dtype=np.bool_))
        return Choice.of(groups.weaker)

    def energies(self, clients: ClientUpdates) -> Energies:
        """Return each client's concentrated backdoor energy."""
        layout = self.server.layout
        of_global = layout.buffers(clients.model)

        def of_client(row: int) -> Amplifications:
            buffers = clients.buffers[row] if clients.buffers else of_global
            local = layout.moved(clients.model, clients.updates[row], buffers)
            largest = [strongest(layer.amplifications(local), self.energy_share) for layer in self._layers]
            return np.sort(np.concatenate(largest))

        return np.stack(list(in_order(of_client, range(len(clients.updates)))))
