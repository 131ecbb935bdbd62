"""Natural ids: all samples of an id, such as a writer, belong to one client.

S. Caldas et al., LEAF: A Benchmark for Federated Settings, 2018, https://arxiv.org/abs/1812.01097, section 2:
each device is a writer, a user, a role in a play.

Where there are more ids than clients, the paper draws ids, and leaves out those with few samples; grouping
them keeps all samples.
"""

from typing import Literal

import numpy as np
from datasets import Dataset
from flwr_datasets.partitioner import Partitioner
from numpy.typing import NDArray

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.types import PositiveCount


def by_id(
    ids: NDArray[np.int64], num_clients: int, random: np.random.Generator, *, grouped: bool, min_samples: int
) -> list[NDArray[np.int64]]:
    """Return the rows of each client, int64.

    Parameters
    ----------
    ids
        int64 ``(n,)``, the id of each row.
    num_clients
        At most as many as there are ids of `min_samples` rows.
    random
        The order of the ids follows from it.
    grouped
        Whether the ids are cut into `num_clients` groups, as many in each, give or take one; else each client
        has one id, and the other ids' rows are nobody's.
    min_samples
        Rows of an id with fewer are nobody's.

    Raises
    ------
    ValueError
        If there are too few ids, with how many there are.
    """
    known, place, sizes = np.unique(ids, return_inverse=True, return_counts=True)
    large = np.flatnonzero(sizes >= min_samples)
    if len(large) < num_clients:
        raise ValueError(f"{len(large)} of {len(known)} ids have at least {min_samples} training samples")
    order = random.permutation(large)
    groups = np.array_split(order, num_clients) if grouped else np.split(order[:num_clients], num_clients)
    owner = np.full(len(known), -1)
    for client, group in enumerate(groups):
        owner[group] = client
    return [np.flatnonzero(owner[place] == client) for client in range(num_clients)]


class NaturalIds(Partitioner):  # type: ignore[misc]  # flwr-datasets is untyped
    """A partitioner of flwr-datasets that gives each client the samples of one natural id, or of several.

    Parameters
    ----------
    num_partitions
        Number of clients. As many as there are ids: one each.
    seed
        Which client has which ids follows from it.
    column
        The column of ids.
    more_ids
        Where there are more ids than clients: ``group``, each client has several; ``draw``, each has one, and
        the samples of the other ids belong to nobody.
    min_samples
        Samples of an id with fewer belong to nobody.
    """

    def __init__(
        self,
        num_partitions: int,
        *,
        seed: int,
        column: str,
        more_ids: Literal["group", "draw"] = "group",
        min_samples: PositiveCount = 1,
    ) -> None:
        super().__init__()
        self._num_partitions = num_partitions
        self._random = np.random.default_rng(seed)
        self._column, self._grouped, self._min_samples = column, more_ids == "group", min_samples
        self._parts: list[NDArray[np.int64]] | None = None

    @property
    def num_partitions(self) -> int:
        """Number of clients."""
        return self._num_partitions

    def load_partition(self, partition_id: int) -> Dataset:
        """Return a client's samples."""
        if self._parts is None:
            ids = self.dataset.with_format("numpy")[:][self._column]
            try:
                self._parts = by_id(
                    ids,
                    self._num_partitions,
                    self._random,
                    grouped=self._grouped,
                    min_samples=self._min_samples,
                )
            except ValueError as error:
                raise ConfigError(
                    "partition.num_clients",
                    self._num_partitions,
                    f"must be at most the number of ids in {self._column}: {error}",
                ) from error
        return self.dataset.select(self._parts[partition_id])
