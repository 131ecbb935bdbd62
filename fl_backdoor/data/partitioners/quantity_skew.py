"""Quantity skew: clients differ in how many samples they have, and not in which classes.

Q. Li et al., Federated Learning on Non-IID Data Silos: An Experimental Study, ICDE 2022,
https://arxiv.org/abs/2102.02079, section IV-C: shares of the data drawn from a symmetric
Dirichlet distribution.

Deviation: a lower bound for each share. The paper has none; a client that has no image cannot train.
"""

import numpy as np
from flwr_datasets.partitioner import IdToSizeFncPartitioner

from fl_backdoor.core.types import Positive, Share


def quantity_skew(
    num_partitions: int, *, seed: int, dirichlet_alpha: Positive = 0.5, smallest: Share = 0.05
) -> IdToSizeFncPartitioner:
    """Return the partitioner of flwr-datasets that cuts shuffled samples into parts of such sizes.

    Parameters
    ----------
    num_partitions
        Number of clients.
    seed
        The shares follow from it.
    dirichlet_alpha
        Concentration: the smaller, the more the sizes differ.
    smallest
        The least that a client has, as a share of an even part; what is left is dealt out by Dirichlet.
    """
    drawn = np.random.default_rng(seed).dirichlet(np.full(num_partitions, dirichlet_alpha))
    shares = smallest / num_partitions + (1 - smallest) * drawn
    return IdToSizeFncPartitioner(num_partitions, lambda _ids: shares)
