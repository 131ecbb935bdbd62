"""DeepSight: clusters of clients are left out in which too many have trained on few classes.

P. Rieger, T. D. Nguyen, M. Miettinen and A.-R. Sadeghi, DeepSight: Mitigating Backdoor Attacks in Federated
Learning Through Deep Model Inspection, NDSS 2022, https://arxiv.org/abs/2201.00763. Of each client,
for each of the P classes,

- NEUPs, normalised update energies of the output layer: C_j = E_j² / Σ E², E_j = |Δb_j| + Σ_h |Δw_jh|;
- threshold exceedings: how many C_j are above max(.01, 1/P) · max C; a client is suspicious if it has at most
  half as many as the median client, since it has then trained on few classes;
- DDifs, division differences: the mean over random inputs of its model's softmax score of j, divided by the
  global model's; several times, with other inputs.

HDBSCAN groups clients by the cosines of Δb, by NEUPs and by each set of DDifs; two clients are as far apart
as the share of these three (DDifs together are one) in which they are in different groups, and HDBSCAN on
that finds the final clusters. One is left out if at least a third of it is suspicious. What is left is
clipped to the median norm of all updates, and averaged. 20,000 inputs and 3 sets, as in public copies.

Noise points of HDBSCAN are a cluster of their own each: apart from everybody, and in the end left out if they
are suspicious themselves. Pairs that are equally far apart are taken in the order of client ids. Inputs are
drawn evenly from [0, 1], as in public copies; tokens are refused.

Deviations: clusters have at least 2 clients, where HDBSCAN's default is 5; an update whose output layer
stands still has the same energy everywhere; NEUPs and DDifs that are equal to six digits count as equal;
scores are logarithms first, and a ratio ends at e^±100; if nobody is left, the model is kept. A client's
model has the global model's BatchNorm statistics: about its own it may lie.

It assumes that attackers train on fewer classes than the median client. Cost: forward passes of 3 · 20,000
inputs through n + 1 models, in one thread, and HDBSCAN on ``(n, n)``, six times in all.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.layout import Layout
from fl_backdoor.core.seeding import Purpose, generator
from fl_backdoor.core.types import ClientMask, ClientVector, PositiveCount, Ratio
from strategies.base import Aggregation, ClientUpdates, ServerContext, local_models, mean_of, nothing_of
from strategies.numerics.clipping import clip_coefficients
from strategies.numerics.cosines import DIGITS, cosine_distances
from strategies.numerics.density import density_groups
from strategies.numerics.groups import Labels
from strategies.numerics.linear import norms
from strategies.robust_strategy import RobustStrategy, StrategyArguments

SMALLEST_CLUSTER = 2

LEAST_THRESHOLD = 0.01
"""Of the largest energy; 1/P, if that is more."""

LARGEST_LOGIT, LARGEST_RATIO = 1e30, 100.0
"""What an infinite logit is taken for, and the largest logarithm of a ratio of scores."""

Figures = NDArray[np.float64]
"""A figure of each class, float64 ``(n_clients, n_classes)``."""


def output_layer(layout: Layout, num_classes: int) -> tuple[str, str]:
    """Return the names of the output layer's weight and bias.

    It is the last matrix with a row for each class that is followed by a bias for each.

    Raises
    ------
    ConfigError
        If the model has none.
    """
    parameters = [tensor for tensor in layout.tensors if tensor.is_parameter]
    for weight, bias in reversed(list(pairwise(parameters))):
        if len(weight.shape) == 2 and (weight.shape[0], bias.shape) == (num_classes, (num_classes,)):
            return weight.name, bias.name
    allowed = f"DeepSight needs a linear output layer of {num_classes} classes with a bias"
    raise ConfigError("model", parameters[-1].name if parameters else None, allowed)


def update_energies(weight: NDArray[np.float32], bias: NDArray[np.float32]) -> Figures:
    """Return NEUPs, each client's add up to 1.

    Parameters
    ----------
    weight, bias
        Updates of the output layer, ``(n_clients, n_classes, width)`` and ``(n_clients, n_classes)``.
    """
    rows = np.stack([np.abs(one).sum(axis=1, dtype=np.float64) for one in weight])
    squares = (rows + np.abs(bias)) ** 2
    totals = squares.sum(axis=1, keepdims=True)
    even = np.full_like(squares, 1 / squares.shape[1])
    energies: Figures = np.divide(squares, totals, out=even, where=totals > 0)
    return energies


def threshold_exceedings(energies: Figures) -> NDArray[np.int64]:
    """Return how many of its energies are near each client's largest, int64 ``(n_clients,)``."""
    share = max(LEAST_THRESHOLD, 1 / energies.shape[1])
    exceeding = energies > share * energies.max(axis=1, keepdims=True)
    return np.asarray(exceeding.sum(axis=1), dtype=np.int64)


def division_difference(local: NDArray[np.floating], reference: NDArray[np.floating]) -> ClientVector:
    """Return the mean ratio of a model's scores to another's, float64 ``(n_classes,)``.

    Parameters
    ----------
    local, reference
        Logits of the same inputs, ``(n_samples, n_classes)``.
    """
    apart = (_log_scores(local) - _log_scores(reference)).clip(-LARGEST_RATIO, LARGEST_RATIO)
    ratios: ClientVector = np.exp(apart).mean(axis=0)
    return ratios


def _log_scores(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    finite = np.nan_to_num(logits.astype(np.float64), nan=0, posinf=LARGEST_LOGIT, neginf=-LARGEST_LOGIT)
    finite -= finite.max(axis=1, keepdims=True)
    logs: NDArray[np.float64] = finite - np.log(np.exp(finite).sum(axis=1, keepdims=True))
    return logs


def apart(labels: Labels) -> NDArray[np.float64]:
    """Return 1 where two clients are in different groups, or one is in none, ``(n_clients, n_clients)``."""
    together = (labels[:, None] == labels) & (labels >= 0)
    np.fill_diagonal(together, True)
    return np.asarray(1.0 - together)


def accepted(clusters: Labels, suspicious: ClientMask, bound: float) -> ClientMask:
    """Return who is in a cluster of which less than `bound` is suspicious."""
    keep = ~suspicious  # who is in no cluster is one
    for cluster in np.unique(clusters[clusters >= 0]):
        members = clusters == cluster
        keep[members] = suspicious[members].mean() < bound
    return keep


def _groups_of(figures: Figures) -> Labels:
    between = figures[:, None] - figures
    return density_groups(np.linalg.norm(between, axis=2).round(DIGITS), SMALLEST_CLUSTER)


class DeepSight(RobustStrategy):
    """The mean over unsuspicious clusters, clipped to the median norm; the others are filtered and flagged.

    Parameters
    ----------
    num_samples
        Random inputs in a set.
    num_sets
        Of random inputs.
    suspicious_share
        In (0, 1]: a cluster is left out if that much of it, or more, is suspicious.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    needs = "network"
    required_clients = 3

    def __init__(
        self,
        *,
        num_samples: PositiveCount = 20_000,
        num_sets: PositiveCount = 3,
        suspicious_share: Ratio = 1 / 3,
        **flower: Unpack[StrategyArguments],
    ) -> None:
        super().__init__(**flower)
        self.num_samples = num_samples
        self.num_sets = num_sets
        self.suspicious_share = suspicious_share

    def prepare(self, server: ServerContext) -> None:
        """Find the output layer; raises ConfigError if there is none, or if inputs are tokens."""
        super().prepare(server)
        assert server.workbench is not None  # `needs` says so
        if len(server.workbench.input_shape) == 1:
            raise ConfigError("strategy", type(self).__name__, "draws random images: for images alone")
        self._output = output_layer(server.layout, server.workbench.num_classes)

    def aggregate(self, clients: ClientUpdates) -> Aggregation:
        """Return the clipped mean over the clusters that are accepted."""
        parts = {tensor.name: part for tensor, part in self.server.layout.parts(clients.updates)}
        weight, bias = (parts[name] for name in self._output)
        energies = update_energies(weight, bias)
        exceedings = threshold_exceedings(energies)
        suspicious = exceedings <= np.median(exceedings) / 2
        different = [
            np.mean([apart(_groups_of(ratios)) for ratios in self._division_differences(clients)], axis=0),
            apart(_groups_of(energies)),
            apart(density_groups(cosine_distances(bias, norms(bias)), SMALLEST_CLUSTER)),
        ]
        clusters = density_groups(np.mean(different, axis=0), SMALLEST_CLUSTER)
        keep = accepted(clusters, suspicious, self.suspicious_share)
        if not keep.any():
            return nothing_of(clients)
        return mean_of(clients, keep, clip_coefficients(clients.norms, float(np.median(clients.norms))))

    def _division_differences(self, clients: ClientUpdates) -> Iterator[Figures]:
        """Yield DDifs for each set of inputs."""
        workbench = self.server.workbench
        assert workbench is not None
        for number in range(self.num_sets):
            random = generator(self.server.seed, Purpose.NOISE_INPUTS, clients.server_round, number)
            shape = (self.num_samples, *workbench.input_shape)
            inputs = random.random(shape, dtype=np.float32)
            reference = workbench.scores(clients.model, inputs)
            yield np.stack(
                [
                    division_difference(workbench.scores(model, inputs), reference)
                    for model in local_models(clients, self.server.layout)
                ]
            )
