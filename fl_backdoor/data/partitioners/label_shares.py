"""Label skew with a draw per client: clients have as many samples as each other, in other label shares.

T.-M. H. Hsu, H. Qi and M. Brown, Measuring the Effects of Non-Identical Data Distribution for Federated
Visual Classification, 2019, https://arxiv.org/abs/1909.06335, section 3: the label shares of client i are
q_i ~ Dir(α·p), p the shares of the classes in all data.

Where a class has run out the others' shares of q_i grow in proportion, so that every sample has one owner;
the paper says nothing about it. Who comes late takes what is left: the order of the clients is drawn as well.
"""

import numpy as np
from datasets import Dataset
from flwr_datasets.partitioner import Partitioner
from numpy.typing import NDArray

from fl_backdoor.core.types import Positive


def deal_out(
    labels: NDArray[np.int64], num_clients: int, dirichlet_alpha: float, random: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Return the rows of each client, int64, their numbers equal give or take one.

    Parameters
    ----------
    labels
        int64 ``(n,)``; rows of a class are dealt out in the order in which they stand.
    num_clients
        At most n.
    dirichlet_alpha
        α, above 0: the smaller, the fewer classes a client has. Each class counts α·p of it.
    random
        Shares, numbers and order follow from it.
    """
    _, labels = np.unique(labels, return_inverse=True)
    sizes = np.bincount(labels)
    rows = [np.flatnonzero(labels == label) for label in range(len(sizes))]
    dealt = np.zeros_like(sizes)
    parts: list[NDArray[np.int64]] = [np.empty(0, np.int64)] * num_clients
    for client in random.permutation(num_clients):
        size = len(labels) // num_clients + (client < len(labels) % num_clients)
        shares = random.dirichlet(dirichlet_alpha * sizes / len(labels))
        counts = _counts(shares, size, sizes - dealt, random)
        ends = dealt + counts
        parts[client] = np.concatenate([of[a:b] for of, a, b in zip(rows, dealt, ends, strict=True)])
        dealt = ends
    return parts


def _counts(
    shares: NDArray[np.float64], size: int, left: NDArray[np.int64], random: np.random.Generator
) -> NDArray[np.int64]:
    """Draw how many samples of each class a client gets, `size` in all and no more than are `left`."""
    counts = np.zeros_like(left)
    while (missing := size - counts.sum()) > 0:
        weights = np.where(counts < left, shares, 0.0)
        if weights.sum() == 0:  # its own classes have run out: it takes of the others as they are left
            weights = (left - counts).astype(np.float64)
        drawn = random.multinomial(missing, weights / weights.sum())
        counts = np.minimum(counts + drawn, left)
    return counts


class LabelShares(Partitioner):  # type: ignore[misc]  # flwr-datasets is untyped
    """A partitioner of flwr-datasets that deals samples out by label shares drawn for each client.

    Parameters
    ----------
    num_partitions
        Number of clients.
    seed
        The shares follow from it.
    dirichlet_alpha
        α of Dir(α·p). With ten equally large classes each counts a tenth of it.
    """

    def __init__(self, num_partitions: int, *, seed: int, dirichlet_alpha: Positive = 5.0) -> None:
        super().__init__()
        self._num_partitions = num_partitions
        self._random = np.random.default_rng(seed)
        self._alpha = dirichlet_alpha
        self._parts: list[NDArray[np.int64]] | None = None

    @property
    def num_partitions(self) -> int:
        """Number of clients."""
        return self._num_partitions

    def load_partition(self, partition_id: int) -> Dataset:
        """Return a client's samples."""
        if self._parts is None:
            labels = np.asarray(self.dataset["label"], dtype=np.int64)
            self._parts = deal_out(labels, self._num_partitions, self._alpha, self._random)
        return self.dataset.select(self._parts[partition_id])
