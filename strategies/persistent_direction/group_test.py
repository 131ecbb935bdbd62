"""Whether a few clients are more alike, or one more like itself, than clients without an aim ever are.

The statistic is Student's t of the similarities of pairs within a group against those of all other pairs.
The spread beside it is that around the means of three kinds of pairs: both in the group, one of them, none. A
group that pulls one way may well be less like the others than these are like each other, which is no noise.
It is taken for the best of the groups into which the leading eigenvector of the similarities splits the
clients. A single attacker shares its direction with nobody; of single clients the statistic is Student's t of
how much the most persistent one is like itself. Similarities are mean products, for who is a little alike in
all rounds, and mean cubes of products, for who is much alike in few: attackers that take turns.

Its distribution where nobody attacks is that of made-up federations. Within each round the updates change
their owners at random: what is left is all the noise that this run has, with its heavy tails and the few
directions that rule it, and nobody keeps doing anything. To that a persistent direction of each client is
added, drawn from a normal distribution: to each product, whose cube is then that of the sum. Made-up clients
go through the same search, so the best of many groups is compared with the best of many. What is too rare to
be seen in so few draws is read off a Gumbel distribution with the draws' mean and variance: the law of a
largest of many.

Clients are looked at in several views: other vectors that stand for the updates, or fewer rounds. In each
made-up federation updates change owners in all views alike, and the largest of the standardised statistics is
compared with the largest (max T; P. H. Westfall and S. S. Young, "Resampling-Based Multiple Testing", Wiley
1993). Views that tell much the same cost next to nothing; products and their cubes count as views as well.

Among many clients the weakest common cause is seen. What the server knows of clients is taken out
(`known_differences`). Another cause seldom has a border: whoever is cut off there as a group has neighbours
on the other side. A group counts only where each of its members is more like the others than anybody else is.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from fl_backdoor.core.types import ClientMask, ClientVector
from strategies.numerics.threads import in_order
from strategies.persistent_direction.known_differences import Known, apart_from
from strategies.persistent_direction.similarity import POWERS, Similarities

FEWEST_CLIENTS = 6
"""A group of two, and four others: fewer say nothing about how alike benign clients are."""

NUM_DRAWS, DRAWS_AT_ONCE = 500, 125
"""Made-up federations, and how many of them one thread works on."""

DIMENSIONS = (2, 200)
"""Range of the dimensions of benign directions; with more their products are normal anyway."""

SMALLEST_SPREAD = 1e-12
"""Of standardised similarities, beside their variance of 1; below, all pairs of a kind are the same."""

CAUTION = 2
"""By how much fewer dimensions than explain the spread directions are drawn in: these are estimated from few
clients, and directions that are unlike in strength have products with heavier tails."""

Batch = NDArray[np.float64]
"""Symmetric matrices, float64 ``(n_matrices, n_clients, n_clients)``, or numbers in each draw."""


@dataclass(frozen=True)
class Group:
    """The most suspicious group.

    Parameters
    ----------
    members
        Bool ``(n_known,)``: fewer than half of the clients.
    probability
        Of a group that stands out as much, or more, if nobody attacks; in [0, 1].
    """

    members: ClientMask
    probability: float


def most_suspicious(
    views: Sequence[Similarities], known: Known, random: np.random.Generator
) -> tuple[Group, Group]:
    """Return the group that is most alike and the client that is most like itself, in whichever view.

    Parameters
    ----------
    views
        Of the same clients, at least `FEWEST_CLIENTS`.
    known
        In what they are known to differ; what this explains counts for nothing.
    random
        Makes up federations.
    """
    means = [
        apart_from(mean[None], known, power)
        for view in views
        for mean, power in zip(view.means, POWERS, strict=True)
    ]
    alike, persistent = simulated_strengths(views, known, random)
    view, group = rarest([best_groups(mean) for mean in means], alike)
    if not has_a_border(means[view][0], group.members):
        group = replace(group, probability=1.0)
    return group, rarest([best_single(mean) for mean in means], persistent)[1]


def rarest(found: Sequence[tuple[ClientVector, NDArray[np.bool_]]], simulated: Batch) -> tuple[int, Group]:
    """Return in which view somebody stands out most, and who.

    Parameters
    ----------
    found
        In each view how much somebody does, float64 ``(1,)``, and who, bool ``(1, n_clients)``.
    simulated
        The same strengths in draws, float64 ``(n_views, n_draws)``; a draw's are compared together (max T).
    """
    centre, scale = simulated.mean(axis=1, keepdims=True), simulated.std(axis=1, keepdims=True)
    drawn = _over(simulated - centre, scale)
    seen = _over(np.stack([strengths for strengths, _ in found]) - centre, scale)
    view = int(seen.argmax())
    return view, Group(found[view][1][0], gumbel_tail(float(seen.max()), drawn.max(axis=0)))


def has_a_border(similar: NDArray[np.float64], members: ClientMask) -> bool:
    """Tell whether each member, at least two, is more like the others than any outsider is.

    Parameters
    ----------
    similar
        Symmetric, float64 ``(n_clients, n_clients)``.
    members
        Bool ``(n_clients,)``.
    """
    towards = similar[:, members].sum(axis=1)
    inside = (towards - np.diag(similar))[members] / (members.sum() - 1)
    outside = towards[~members] / members.sum()
    return bool(inside.min() > outside.max())


def _over(values: Batch, scale: Batch) -> Batch:
    """Return values over their scale; 0 where that is 0."""
    quotient: Batch = np.divide(values, scale, out=np.zeros_like(values), where=scale > 0)
    return quotient


def best_groups(similar: Batch) -> tuple[ClientVector, NDArray[np.bool_]]:
    """Find in each matrix the group whose pairs stand out most.

    Returns
    -------
    strengths
        arsinh(t / √p) for p pairs of clients, float64 ``(n_matrices,)``, finite. This is Fisher's transform
        artanh r of a correlation r with the same t; it makes the law of the best of many less skewed.
    groups
        Bool ``(n_matrices, n_clients)``, at least two and fewer than half of the clients.
    """
    standard = _standardized(similar)
    ascending = np.argsort(leading_vectors(standard), axis=1, kind="stable")
    orders = np.stack([ascending, ascending[:, ::-1]], axis=1)
    found = np.stack([_prefix_strengths(standard, orders[:, end]) for end in (0, 1)], axis=1)
    matrices = np.arange(len(similar))
    end, size = np.divmod(found.reshape(len(similar), -1).argmax(axis=1), found.shape[2])
    ranks = np.argsort(orders[matrices, end], axis=1)
    return found[matrices, end, size], ranks < size[:, None] + 2


def best_single(similar: Batch) -> tuple[ClientVector, NDArray[np.bool_]]:
    """Find in each matrix the client that is most like itself, by the diagonal, as `best_outlier` does."""
    return best_outlier(np.diagonal(similar, axis1=1, axis2=2))


def best_outlier(values: NDArray[np.float64]) -> tuple[ClientVector, NDArray[np.bool_]]:
    """Find in each row the client whose value is most above the others'.

    Parameters
    ----------
    values
        float64 ``(n_rows, n_clients)``.

    Returns
    -------
    strengths
        arsinh(t / √n) of Student's t of its value against the n - 1 others, as in a test for one outlier
        (F. E. Grubbs, Annals of Mathematical Statistics 21, 1950), float64 ``(n_rows,)``, finite.
    singles
        Bool ``(n_rows, n_clients)``, one client each.
    """
    num_clients = values.shape[1]
    alone = np.arange(num_clients) == values.argmax(axis=1)[:, None]
    others = values[~alone].reshape(len(values), -1)
    above = values.max(axis=1) - others.mean(axis=1)
    scale = others.std(axis=1, ddof=1) * math.sqrt(1 + 1 / (num_clients - 1))
    largest = above / math.sqrt(SMALLEST_SPREAD)
    t = np.divide(above, scale, out=largest, where=scale > above * math.sqrt(SMALLEST_SPREAD))
    return np.arcsinh(t / math.sqrt(num_clients)), alone


def leading_vectors(similar: Batch) -> NDArray[np.float64]:
    """Return the eigenvector of the largest eigenvalue of each matrix, ``(n_matrices, n_clients)``."""
    vectors: NDArray[np.float64] = np.linalg.eigh(similar)[1][:, :, -1]
    return vectors


def simulated_strengths(
    views: Sequence[Similarities], known: Known, random: np.random.Generator
) -> tuple[Batch, Batch]:
    """Return how much who stands out most does so in federations like this one in which nobody attacks.

    Of groups and of single clients, float64 ``(2 n_views, NUM_DRAWS)`` each, a view's means before its cubes.
    """

    def strengths(draw: np.random.Generator) -> Batch:
        keys = keys_of_draws(views, DRAWS_AT_ONCE, draw)
        apart = (
            apart_from(similar, known, power)
            for view in views
            for similar, power in zip(_made_up(view, keys, draw), POWERS, strict=True)
        )
        return np.array([(best_groups(similar)[0], best_single(similar)[0]) for similar in apart])

    parts = in_order(strengths, random.spawn(NUM_DRAWS // DRAWS_AT_ONCE))
    together = np.concatenate(list(parts), axis=2)
    return together[:, 0], together[:, 1]


def keys_of_draws(views: Sequence[Similarities], count: int, random: np.random.Generator) -> Batch:
    """Return by which keys terms are dealt out in each draw, in [0, 1), ``(count, n_remembered)``.

    They are the same in all views, in which a term is found by its index in the memory.
    """
    return random.random((count, 1 + max(int(view.terms.max(initial=-1)) for view in views)))


def dealt(owners: NDArray[np.int64], rounds: NDArray[np.int64], keys: Batch) -> NDArray[np.int64]:
    """Return owners of terms after those of each round are dealt out in the order of the keys.

    int64 ``(n_draws, n_terms)``; rounds ascend.
    """
    return owners[np.argsort(rounds + keys, axis=1)]


def persistent_spread(similar: Similarities) -> tuple[float, int]:
    """Return the variance of similarities beyond noise, and in how many dimensions directions are drawn.

    Independent directions of squared length s in r dimensions have products of variance s²/r; s is the mean
    similarity of a client with itself. r is divided by `CAUTION`. Everybody counts, so that attackers make
    the test careful, not bold.
    """
    upper = np.triu_indices(len(similar.mean), 1)
    spread = _beyond_noise(similar.mean[upper], similar.noise_std[upper])
    own = max(float(np.diag(similar.mean).mean()), 0.0)
    few, many = DIMENSIONS
    explain = own**2 / CAUTION
    return spread, many if explain >= many * spread else max(few, round(explain / spread))


def _beyond_noise(values: NDArray[np.float64], noise_std: NDArray[np.float64]) -> float:
    return max(float(values.var(ddof=1) - np.mean(noise_std**2)), 0.0)


def gumbel_tail(value: float, draws: NDArray[np.float64]) -> float:
    """Return the probability of `value` or more under the Gumbel law with mean and variance of `draws`."""
    if np.ptp(draws) == 0:
        return 1.0
    reduced = math.pi / math.sqrt(6) * (value - float(draws.mean())) / float(draws.std()) + np.euler_gamma
    return -math.expm1(-math.exp(min(-reduced, 700.0)))


def _made_up(similar: Similarities, keys: Batch, random: np.random.Generator) -> tuple[Batch, Batch]:
    """Return mean products and mean cubes in made-up federations.

    A product is the noise of two terms and the steady part of whom they are dealt to: the mean of
    ``(noise + steady)³`` follows from those of noise, its square and its cube.
    """
    noise, squares, cubes = _exchanged(similar, keys)
    steady = _persistent(similar, random)
    return noise + steady, cubes + 3 * steady * squares + 3 * steady**2 * noise + steady**3


def _exchanged(similar: Similarities, keys: Batch) -> list[Batch]:
    """Return means of products, their squares and their cubes, the terms of each round dealt out anew.

    In each draw they are dealt out in the order of the keys, which are in [0, 1), one a remembered term,
    ``(n_draws, n_remembered)``.
    """
    owners = dealt(similar.owners, similar.rounds, keys[:, similar.terms])
    (num_draws, num_terms), num_clients = owners.shape, len(similar.client_ids)
    draws, terms = np.indices(owners.shape)
    ones, rows = np.ones(owners.size, np.float32), (num_clients * draws + owners).ravel()
    # One entry in each column: among many clients a dense product would be of zeros nearly all.
    belongs = csr_array((ones, (rows, terms.ravel())))
    belongs_in_draw = csr_array((ones, (rows, (num_terms * draws + terms).ravel())))

    def mean(power: int) -> Batch:
        half = belongs @ (similar.cosines**power).astype(np.float32)
        turned = half.reshape(num_draws, num_clients, num_terms).transpose(0, 2, 1)
        sums = belongs_in_draw @ turned.reshape(-1, num_clients)
        means: Batch = sums.reshape(num_draws, num_clients, num_clients) / similar.num_products
        return means

    return [mean(power) for power in (1, 2, 3)]


def _persistent(similar: Similarities, random: np.random.Generator) -> Batch:
    """Return what clients with independent directions add to similarities: as much spread as these have.

    Products of different clients are those of directions; lengths of directions are normal. The spread is
    that before what is known is taken out: sizes may come with label skew, whose spread is not to be lost
    with theirs.
    """
    num_clients = len(similar.client_ids)
    spread, dimensions = persistent_spread(similar)
    directions = random.standard_normal((DRAWS_AT_ONCE, num_clients, dimensions))
    # Deviations are taken from the clients' middle.
    directions -= directions.mean(axis=1, keepdims=True)
    products: Batch = math.sqrt(spread / dimensions) * (directions @ directions.transpose(0, 2, 1))
    clients = np.arange(num_clients)
    own_spread = _beyond_noise(np.diag(similar.mean), np.diag(similar.noise_std))
    products[:, clients, clients] = math.sqrt(own_spread) * random.standard_normal(
        (DRAWS_AT_ONCE, num_clients)
    )
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

    float64 ``(n_matrices, (n_clients + 1) // 2 - 2)``.
    """
    num_clients = standard.shape[1]
    sizes, num_pairs = np.arange(2, (num_clients + 1) // 2), num_clients * (num_clients - 1) / 2
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
