"""Whether a few clients are more alike than clients without a common aim ever are.

The statistic is Student's t of the similarities of pairs within a group against those of all other pairs.
The spread beside it is that around the means of three kinds of pairs: both in the group, one of them, none. A
group that pulls one way may well be less like the others than these are like each other, which is no noise.
It is taken for the best of the groups into which the leading eigenvector of the similarities splits the
clients.

Its distribution where nobody attacks is that of made-up federations. Within each round the updates change
their owners at random: what is left is all the noise that this run has, with its heavy tails and the few
directions that rule it, and nobody keeps doing anything. To that a persistent direction of each client is
added, drawn from a normal distribution in as many dimensions as explain the spread of similarities beyond
noise. Made-up clients go through the same search, so the best of many groups is compared with the best of
many. What is too rare to be seen in so few draws is read off a Gumbel distribution with the draws' mean and
variance: the law of a largest of many.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.types import ClientMask, ClientVector
from strategies.similarity import Similarities
from strategies.threads import in_order

FEWEST_CLIENTS = 6
"""A group of two, and four others: fewer say nothing about how alike benign clients are."""

NUM_DRAWS, DRAWS_AT_ONCE = 500, 125
"""Made-up federations, and how many of them one thread works on."""

DIMENSIONS = (2, 200)
"""Range of the dimensions of benign directions; with more their products are normal anyway."""

SMALLEST_SPREAD = 1e-12
"""Of standardised similarities, beside their variance of 1; below, all pairs of a kind are the same."""

Batch = NDArray[np.float64]
"""Symmetric matrices, float64 ``(n_matrices, n_clients, n_clients)``; their diagonals are not looked at."""


@dataclass(frozen=True)
class Group:
    """The most suspicious group.

    Parameters
    ----------
    members
        Bool ``(n_known,)``: between two clients and half of them.
    probability
        Of a group that stands out as much, or more, if nobody attacks; in [0, 1].
    """

    members: ClientMask
    probability: float


def most_alike(similar: Similarities, random: np.random.Generator) -> Group:
    """Return the group that stands out most, and how probable that is by chance.

    Parameters
    ----------
    similar
        Of at least `FEWEST_CLIENTS`.
    random
        Makes up federations.
    """
    strengths, groups = best_groups(similar.mean[None])
    simulated = simulated_strengths(similar, random)
    return Group(groups[0], gumbel_tail(float(strengths[0]), simulated))


def best_groups(similar: Batch) -> tuple[ClientVector, NDArray[np.bool_]]:
    """Find in each matrix the group whose pairs stand out most.

    Returns
    -------
    strengths
        arsinh(t / √p) for p pairs of clients, float64 ``(n_matrices,)``, finite. This is Fisher's transform
        artanh r of a correlation r with the same t; it makes the law of the best of many less skewed.
    groups
        Bool ``(n_matrices, n_clients)``, at least two and at most half of the clients.
    """
    standard = _standardized(similar)
    ascending = np.argsort(leading_vectors(standard), axis=1, kind="stable")
    orders = np.stack([ascending, ascending[:, ::-1]], axis=1)
    found = np.stack([_prefix_strengths(standard, orders[:, end]) for end in (0, 1)], axis=1)
    matrices = np.arange(len(similar))
    end, size = np.divmod(found.reshape(len(similar), -1).argmax(axis=1), found.shape[2])
    ranks = np.argsort(orders[matrices, end], axis=1)
    return found[matrices, end, size], ranks < size[:, None] + 2


def leading_vectors(similar: Batch) -> NDArray[np.float64]:
    """Return the eigenvector of the largest eigenvalue of each matrix, ``(n_matrices, n_clients)``."""
    vectors: NDArray[np.float64] = np.linalg.eigh(similar)[1][:, :, -1]
    return vectors


def simulated_strengths(similar: Similarities, random: np.random.Generator) -> NDArray[np.float64]:
    """Return the strengths of the best groups in federations like this one in which nobody attacks."""
    num_clients, persistent = len(similar.client_ids), persistent_spread(similar)
    seeds = random.spawn(NUM_DRAWS // DRAWS_AT_ONCE)

    def strengths(draw: np.random.Generator) -> ClientVector:
        made_up = _exchanged(similar, draw) + _persistent(num_clients, *persistent, draw)
        return best_groups(made_up)[0]

    return np.concatenate(list(in_order(strengths, seeds)))


def persistent_spread(similar: Similarities) -> tuple[float, int]:
    """Return the variance of similarities beyond noise, and how many dimensions would explain it.

    Independent directions of squared length s in r dimensions have products of variance s²/r; s is the mean
    similarity of a client with itself. Everybody counts, so that attackers make the test careful, not bold.
    """
    upper = np.triu_indices(len(similar.mean), 1)
    among = similar.mean[upper]
    spread = max(float(among.var(ddof=1) - np.mean(similar.noise_std[upper] ** 2)), 0.0)
    own = max(float(np.diag(similar.mean).mean()), 0.0)
    few, many = DIMENSIONS
    dimensions = many if own**2 >= many * spread else max(few, round(own**2 / spread))
    return spread, dimensions


def gumbel_tail(value: float, draws: NDArray[np.float64]) -> float:
    """Return the probability of `value` or more under the Gumbel law with mean and variance of `draws`."""
    if np.ptp(draws) == 0:
        return 1.0
    reduced = math.pi / math.sqrt(6) * (value - float(draws.mean())) / float(draws.std()) + np.euler_gamma
    return -math.expm1(-math.exp(min(-reduced, 700.0)))


def _exchanged(similar: Similarities, random: np.random.Generator) -> Batch:
    """Return similarities of clients among whom the terms of each round are dealt out anew."""
    keys = similar.rounds + random.random((DRAWS_AT_ONCE, len(similar.rounds)))
    owners = similar.owners[np.argsort(keys, axis=1)]
    clients = np.arange(len(similar.client_ids))
    belongs = (owners[:, None, :] == clients[:, None]).astype(np.float32)
    sums = belongs @ similar.cosines.astype(np.float32) @ belongs.transpose(0, 2, 1)
    dealt: Batch = sums.astype(np.float64) / similar.num_products
    return dealt


def _persistent(num_clients: int, spread: float, dimensions: int, random: np.random.Generator) -> Batch:
    """Return products of independent directions, whose variance is `spread`."""
    directions = random.standard_normal((DRAWS_AT_ONCE, num_clients, dimensions))
    # Deviations are taken from the clients' middle.
    directions -= directions.mean(axis=1, keepdims=True)
    products: Batch = math.sqrt(spread / dimensions) * (directions @ directions.transpose(0, 2, 1))
    return products


def _standardized(similar: Batch) -> Batch:
    """Return matrices whose pairs have mean 0 and variance 1, with zeros on the diagonal."""
    num_clients = similar.shape[1]
    upper = np.triu_indices(num_clients, 1)
    pairs = similar[:, upper[0], upper[1]]
    mean, deviation = pairs.mean(axis=1)[:, None, None], pairs.std(axis=1)[:, None, None]
    centred = similar - mean
    standard: Batch = np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 0)
    standard[:, np.arange(num_clients), np.arange(num_clients)] = 0
    return standard


def _prefix_strengths(standard: Batch, order: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return how much the first 2, 3, … clients of each order stand out.

    float64 ``(n_matrices, n_clients // 2 - 1)``.
    """
    num_clients = standard.shape[1]
    sizes, num_pairs = np.arange(2, num_clients // 2 + 1), num_clients * (num_clients - 1) / 2
    counts = _pairs_of_each_kind(sizes, num_clients)
    permuted = np.take_along_axis(standard, order[:, :, None], axis=1)
    sums = np.take_along_axis(permuted, order[:, None, :], axis=2).cumsum(axis=1).cumsum(axis=2)
    within = sums[:, sizes - 1, sizes - 1] / 2
    across = sums[:, sizes - 1, -1] - 2 * within
    outside = -within - across  # all pairs have mean 0
    explained = within**2 / counts[0] + across**2 / counts[1] + outside**2 / counts[2]
    spread = np.maximum(1 - explained / num_pairs, SMALLEST_SPREAD)
    others = counts[1] + counts[2]
    difference = within / counts[0] + within / others
    strengths: NDArray[np.float64] = np.arcsinh(
        difference / np.sqrt(spread * num_pairs * (1 / counts[0] + 1 / others))
    )
    return strengths


def _pairs_of_each_kind(sizes: NDArray[np.intp], num_clients: int) -> NDArray[np.float64]:
    """Return how many pairs lie within a group, across its border and outside of it."""
    others = num_clients - sizes
    return np.stack([sizes * (sizes - 1) / 2, sizes * others, others * (others - 1) / 2])


def most_persistent(similar: Similarities) -> Group:
    """Return the client that is most like itself, and how probable that is by chance.

    One-sided test for one outlier among n normal values (F. E. Grubbs, Annals of Mathematical Statistics 21,
    1950): against the mean and variance of the n - 1 others the value follows Student's law with n - 2
    degrees of freedom; any of n clients may be the outlier.
    """
    from scipy.special import stdtr

    own = np.diag(similar.mean)
    num_clients = len(own)
    alone = np.zeros(num_clients, dtype=np.bool_)
    alone[np.argmax(own)] = True
    others = own[~alone]
    scale = float(others.std(ddof=1)) * math.sqrt(1 + 1 / (num_clients - 1))
    distance = float(own.max() - others.mean()) / scale if scale > 0 else 0.0
    return Group(alone, min(1.0, num_clients * float(stdtr(num_clients - 2, -distance))))
