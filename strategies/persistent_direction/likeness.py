"""Who is like clients that are flagged already: attackers that came late, or that pull less.

A mean of many products is nearly normal; among the other clients' means Grubbs' test asks for an outlier.
Mean cubes are not: they are near 0 but for a rare product that is large by chance, and whoever has it is an
outlier. Their law is that of federations in which the others' updates change owners within each round: there
somebody has the rare product as well.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from fl_backdoor.core.types import ClientMask
from strategies.persistent_direction.group_test import (
    NUM_DRAWS,
    Batch,
    Group,
    best_outlier,
    dealt,
    keys_of_draws,
    rarest,
)
from strategies.persistent_direction.known_differences import Known, apart_from, unexplained
from strategies.persistent_direction.similarity import Similarities


def most_like(
    views: Sequence[Similarities], known: Known, group: ClientMask, random: np.random.Generator
) -> Group:
    """Return who is most like the clients of a group without being one, and how probable that is by chance.

    Parameters
    ----------
    views
        Of the same clients.
    known
        In what they are known to differ.
    group
        Bool ``(n_known,)``; at least three are not in it.
    random
        Deals out updates.
    """
    both = _in_the_mean(views, known, group), _in_the_cube(views, known, group, random)
    found = min(both, key=lambda outlier: outlier.probability)
    members = np.zeros(len(group), dtype=np.bool_)
    members[np.flatnonzero(~group)[found.members]] = True
    return Group(members, min(1.0, 2 * found.probability))


def _in_the_mean(views: Sequence[Similarities], known: Known, group: ClientMask) -> Group:
    """Return who of the others stands out by mean products with the group.

    By Student's law with n - 2 degrees of freedom for n others; Bonferroni over these and the views.
    """
    means = apart_from(np.stack([view.mean for view in views]), known, power=1)
    towards = means[:, ~group][:, :, group].mean(axis=2)
    strengths, outliers = best_outlier(towards)
    view, num_others = int(strengths.argmax()), towards.shape[1]
    t = math.sqrt(num_others) * math.sinh(float(strengths[view]))
    return Group(outliers[view], towards.size * float(stdtr(num_others - 2, -t)))


def _in_the_cube(
    views: Sequence[Similarities], known: Known, group: ClientMask, random: np.random.Generator
) -> Group:
    """Return who of the others stands out by mean cubes, beside draws in which updates change owners."""
    keys = keys_of_draws(views, NUM_DRAWS, random)
    rest = unexplained(known.numbers[~group])
    both = [_cubes_towards(view, group, keys) for view in views]
    found = [best_outlier(seen @ rest) for seen, _ in both]
    simulated = [best_outlier(drawn @ rest)[0] for _, drawn in both]
    return rarest(found, np.stack(simulated))[1]


def _cubes_towards(view: Similarities, group: ClientMask, keys: Batch) -> tuple[Batch, Batch]:
    """Return each other client's mean cube of products with the group, as seen and in draws.

    float64 ``(1, n_others)`` and ``(n_draws, n_others)``.
    """
    theirs, num_others = group[view.owners], int((~group).sum())
    owners, rounds = (np.cumsum(~group) - 1)[view.owners[~theirs]], view.rounds[~theirs]
    sums = (view.cosines[np.ix_(~theirs, theirs)] ** 3).sum(axis=1)
    counts = (rounds[:, None] != view.rounds[theirs]).sum(axis=1)
    # The terms of one round have as many products each: whoever owns them, a client has as many.
    num_products = np.maximum(np.bincount(owners, counts, num_others), 1)

    def means(owners_in_draws: NDArray[np.int64]) -> Batch:
        drawn = [np.bincount(of_draw, sums, num_others) for of_draw in owners_in_draws]
        of_each: Batch = np.stack(drawn) / num_products
        return of_each

    return means(owners[None]), means(dealt(owners, rounds, keys[:, view.terms[~theirs]]))
