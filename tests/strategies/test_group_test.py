"""The test against brute force, and its false alarms and power on federations that are made up."""

import math
from functools import cache
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from strategies.persistent_direction.group_test import (
    _exchanged,
    _made_up,
    _persistent,
    best_groups,
    best_single,
    gumbel_tail,
    has_a_border,
    most_suspicious,
)
from strategies.persistent_direction.known_differences import Known
from strategies.persistent_direction.memory import Memory
from strategies.persistent_direction.signs import deviation_signs
from strategies.persistent_direction.similarity import Similarities, similarities
from tests.drill import drill


def most_alike(views, random, known=None):
    return most_suspicious(views, no_differences(views) if known is None else known, random)[0]


def most_persistent(views, random, known=None):
    return most_suspicious(views, no_differences(views) if known is None else known, random)[1]


def no_differences(views):
    return with_samples(np.full(len(views[0].client_ids), 100))


def with_samples(sizes):
    """Return what is known of clients with so many samples that all see a hundredth of them in a round."""
    return Known(sizes[:, None], np.full(len(sizes), 0.01))


def federation(
    seed, num_clients=10, num_rounds=5, *, own=0.4, dimensions=60, attackers=(), shared=0.5, turns=False
):
    """Remember clients with persistent directions of their own; attackers share one as well, or by turns."""
    random = np.random.default_rng(seed)
    num_coordinates = 600
    basis = random.standard_normal((dimensions, num_coordinates)) / math.sqrt(dimensions)
    directions = own * random.standard_normal((num_clients, dimensions)) @ basis
    aim = shared * random.standard_normal(num_coordinates)
    memory = Memory.empty(num_coordinates)
    everybody = np.ones(num_clients, bool)
    for server_round in range(1, num_rounds + 1):
        updates = random.standard_normal(num_coordinates) + directions
        active = attackers[server_round % len(attackers)] if turns else list(attackers)
        updates[active] += aim
        updates += random.standard_normal(updates.shape)
        signs = deviation_signs(updates.astype(np.float32), everybody)
        memory = memory.after(server_round, np.arange(num_clients), signs, 16)
    return similarities(memory)


@cache
def found_without_attackers(seed, dimensions):
    """Return the group and the client that are the most suspicious of a federation without attackers."""
    views = [federation(seed, dimensions=dimensions)]
    return most_suspicious(views, no_differences(views), np.random.default_rng(seed))


def alike(mean):
    """Two rounds in which each client's first term is as like everybody's second as `mean` says."""
    rounds = np.repeat([1, 2], len(mean))
    cosines = np.kron([[0, 1], [1, 0]], mean)
    places = np.arange(2 * len(mean))
    return Similarities(np.arange(len(mean)), places % len(mean), rounds, cosines, places)


def strength_of(similar, group):
    """Student's t with the spread around the means of three kinds of pairs, as a regression finds it."""
    left, right = np.triu_indices(len(similar), 1)
    belongs = np.isin(np.arange(len(similar)), group)
    kinds = belongs[left].astype(int) + belongs[right]
    values = similar[left, right]
    residuals = values - np.array([values[kinds == kind].mean() for kind in range(3)])[kinds]
    within, others = values[kinds == 2], values[kinds < 2]
    error = residuals.std() * math.sqrt(1 / len(within) + 1 / len(others))
    return math.asinh((within.mean() - others.mean()) / error / math.sqrt(len(values)))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("num_clients", [8, 9])
def test_the_best_group_of_all_is_found_where_there_is_one(num_clients, seed):
    random = np.random.default_rng(seed)
    noise = random.standard_normal((num_clients, num_clients))
    size = 2 + seed % 2
    side = np.isin(np.arange(num_clients), random.choice(num_clients, size, replace=False))
    similar = np.outer(side, side) * 6.0 + noise + noise.T
    sizes = range(2, (num_clients + 1) // 2)
    groups = [group for size in sizes for group in combinations(range(num_clients), size)]
    best = max(groups, key=lambda group: strength_of(similar, group))
    [strength], [members] = best_groups(similar[None])
    np.testing.assert_array_equal(np.flatnonzero(members), best)
    assert strength == pytest.approx(strength_of(similar, best), rel=1e-6)


def test_many_matrices_are_searched_as_each_alone():
    noise = np.random.default_rng(0).standard_normal((20, 8, 8))
    similar = noise + noise.transpose(0, 2, 1)
    strengths, groups = best_groups(similar)
    alone = [best_groups(matrix[None]) for matrix in similar]
    np.testing.assert_allclose(strengths, [strength[0] for strength, _ in alone], rtol=1e-12)
    np.testing.assert_array_equal(groups, [members[0] for _, members in alone])


def test_fewer_than_half_and_no_denser_rest():
    # Seven are alike, three are not: the three are no group, because they are less alike than the rest.
    side = np.arange(10) < 7
    noise = 0.01 * np.random.default_rng(0).standard_normal((10, 10))
    _, [members] = best_groups((np.outer(side, side) + noise + noise.T)[None])
    assert not (members & ~side).all()
    assert 2 <= members.sum() <= 4


def test_the_tail_of_the_gumbel_law():
    draws = stats.gumbel_r.rvs(loc=3, scale=0.5, size=200_000, random_state=0)
    for value in (3.0, 5.0, 9.0):
        assert gumbel_tail(value, draws) == pytest.approx(stats.gumbel_r.sf(value, 3, 0.5), rel=0.1)
    assert gumbel_tail(1e6, draws) == 0
    assert gumbel_tail(-1e6, draws) == 1
    assert gumbel_tail(1.0, np.ones(10)) == 1


@pytest.mark.parametrize("dimensions", [15, 60, pytest.param(600, marks=drill)])
def test_false_alarms_are_as_rare_as_promised(dimensions):
    # 40 federations without attackers, tested at 5 %: more than 9 alarms have a probability below 1e-4.
    alarms = [found_without_attackers(seed, dimensions)[0].probability < 0.05 for seed in range(40)]
    assert stats.binom.sf(9, 40, 0.05) < 1e-4
    assert sum(alarms) <= 9


@drill
def test_false_alarms_about_one_client_are_as_rare_as_promised():
    alarms = [found_without_attackers(seed, 60)[1].probability < 0.05 for seed in range(200)]
    assert stats.binom.sf(24, 200, 0.05) < 1e-4
    assert sum(alarms) <= 24


@pytest.mark.parametrize("attackers", [(1, 2, 9), (3, 5)])
def test_clients_that_share_a_direction_are_found(attackers):
    similar = federation(0, num_rounds=8, attackers=attackers, shared=0.6)
    group = most_alike([similar], np.random.default_rng(0))
    np.testing.assert_array_equal(np.flatnonzero(group.members), attackers)
    assert group.probability < 1e-4


@pytest.mark.parametrize("seed", range(3))
def test_attackers_that_take_turns_are_found_by_cubes(seed):
    similar = federation(seed, num_rounds=16, attackers=(1, 2, 9), shared=1.5, turns=True)
    group = most_alike([similar], np.random.default_rng(0))
    np.testing.assert_array_equal(np.flatnonzero(group.members), (1, 2, 9))
    assert group.probability < 1e-4
    by_means, by_cubes = (best_groups(mean[None])[0] for mean in similar.means)
    assert by_cubes > 1.5 * by_means


def test_clients_that_are_alike_because_they_have_much_data_are_no_group():
    # Four clients have ten times as many samples as the others, and learn what these do not.
    large = (0, 3, 5, 8)
    similar = federation(0, num_rounds=8, attackers=large, shared=0.6)
    assert most_alike([similar], np.random.default_rng(0)).probability < 1e-4
    sizes = np.where(np.isin(np.arange(10), large), 1000.0, 100.0)
    assert most_alike([similar], np.random.default_rng(0), with_samples(sizes)).probability > 0.05


def test_attackers_with_any_number_of_samples_are_found_among_clients_of_unlike_size():
    similar = federation(0, num_rounds=8, attackers=(1, 2, 9), shared=0.6)
    sizes = np.array([20, 900, 60, 500, 30, 200, 1500, 80, 400, 150.0])
    group = most_alike([similar], np.random.default_rng(0), with_samples(sizes))
    np.testing.assert_array_equal(np.flatnonzero(group.members), (1, 2, 9))
    assert group.probability < 1e-3


def test_a_client_that_repeats_itself_because_it_has_few_samples_is_no_outlier():
    similar = federation(0, attackers=[4], shared=1.0)
    sizes = np.where(np.arange(10) == 4, 10.0, 500.0)
    assert most_persistent([similar], np.random.default_rng(0), with_samples(sizes)).probability > 0.05


def test_a_client_that_sees_all_its_samples_in_each_round_is_no_outlier():
    # Samples whose pulls are independent, 20 drawn in a round: of 25, or of 100.
    random, num_samples = np.random.default_rng(0), np.array([25] + 9 * [100])
    pulls = [random.standard_normal((count, 600)) for count in num_samples]
    memory = Memory.empty(600)
    for server_round in range(1, 9):
        updates = np.stack([random.permutation(own)[:20].mean(axis=0) for own in pulls])
        signs = deviation_signs(updates.astype(np.float32), np.ones(10, bool))
        memory = memory.after(server_round, np.arange(10), signs, 16)
    similar, coverage = similarities(memory), 20 / num_samples
    # Of independent directions signs have 2 arcsin(c) / π in common where these have c.
    own = np.sin(np.pi / 2 * np.diag(similar.mean))
    np.testing.assert_allclose(own, coverage, rtol=0.25)
    numbers = np.ones((10, 1))
    known, unknown = (
        most_persistent([similar], np.random.default_rng(0), Known(numbers, share))
        for share in (coverage, np.ones(10))
    )
    assert np.flatnonzero(unknown.members).tolist() == [0]
    assert unknown.probability < 1e-4
    assert known.probability > 0.05


def test_most_cuts_through_a_continuum_make_no_group():
    # Forty clients are strung along an axis, with noise: the upper ones have neighbours below.
    along = np.linspace(-1, 1, 40)
    noise = 0.3 * np.random.default_rng(0).standard_normal((40, 40))
    strung = np.outer(along, along) + noise + noise.T
    assert sum(has_a_border(strung, along > cut) for cut in along[20:36]) <= 4
    # Pulled apart from the others they have none.
    apart = along + 3 * (along > 0.5)
    assert has_a_border(np.outer(apart, apart) + noise + noise.T, along > 0.5)


def test_a_border_by_hand():
    similar = np.full((6, 6), 0.1)
    similar[:3, :3] = 0.5
    similar[0, 1] = similar[1, 0] = 0.2
    members = np.arange(6) < 3
    # The least alike of the members is so by (.2 + .5) / 2.
    assert has_a_border(similar, members)
    for likeness, wanted in ((0.34, True), (0.36, False)):
        similar[5, :3] = similar[:3, 5] = likeness
        assert has_a_border(similar, members) == wanted


def test_one_persistent_client_is_found():
    group = most_persistent([federation(0, attackers=[4], shared=1.0)], np.random.default_rng(0))
    np.testing.assert_array_equal(np.flatnonzero(group.members), [4])
    assert group.probability < 5e-4


def test_one_outlier_against_grubbs_own_statistic():
    own = np.array([0.1, 0.12, 0.09, 0.3, 0.11, 0.1])
    [strength], [members] = best_single(np.diag(own)[None])
    # G = (max - mean) / s and its t: (n - 1)² t² / (n (n - 2 + t²)) = G² solved for t.
    g2 = ((own.max() - own.mean()) / own.std(ddof=1)) ** 2
    t = math.sqrt(g2 * 6 * 4 / (25 - 6 * g2))
    assert strength == pytest.approx(math.asinh(t / math.sqrt(6)), rel=1e-6)
    assert members.tolist() == [False, False, False, True, False, False]


def test_one_among_clients_that_are_all_the_same():
    strengths, members = best_single(np.stack([np.diag([1.0, 1, 1, 1, 1, 2]), np.eye(6)]))
    assert np.isfinite(strengths).all()
    assert strengths[0] > 10
    assert members[0].tolist() == [False] * 5 + [True]
    assert strengths[1] == 0


def test_the_order_of_clients_does_not_matter():
    similar = federation(1, attackers=(1, 2, 9))
    order = np.random.default_rng(0).permutation(10)
    permuted = Similarities(
        similar.client_ids, np.argsort(order)[similar.owners], similar.rounds, similar.cosines, similar.terms
    )
    np.testing.assert_allclose(permuted.mean, similar.mean[np.ix_(order, order)], rtol=1e-12)
    mine, theirs = (most_alike([each], np.random.default_rng(0)) for each in (similar, permuted))
    np.testing.assert_array_equal(mine.members[order], theirs.members)
    # Directions are drawn for clients in another order: the mean and spread of 500 draws differ by chance.
    assert math.log(theirs.probability) == pytest.approx(math.log(mine.probability), rel=0.1)


def test_the_terms_of_each_round_are_dealt_out_anew():
    # Two of four clients are alike once, in rounds 1 and 2: in each draw whoever is dealt these two terms is.
    cosines = np.zeros((8, 8))
    cosines[0, 5] = cosines[5, 0] = 1
    places = np.arange(8)
    similar = Similarities(np.arange(4), places % 4, np.repeat([1, 2], 4), cosines, places)
    dealt, squares, cubes = _exchanged(similar, np.random.default_rng(0).random((1000, 8)))
    np.testing.assert_array_equal(squares, dealt)
    np.testing.assert_array_equal(cubes, dealt)
    sums = dealt * similar.num_products
    np.testing.assert_array_equal(sums, sums.transpose(0, 2, 1))
    np.testing.assert_allclose(sums.sum(axis=(1, 2)), 2)
    # 4 x 4 owners of the two terms; a share of 1/16 in 1,000 draws is within .03 of it in all but 1 in 10^4.
    owned = sums / np.where(np.eye(4, dtype=bool), 2, 1)
    shares = owned.mean(axis=0) / np.where(np.eye(4, dtype=bool), 1, 2)
    np.testing.assert_allclose(shares, 1 / 16, atol=0.03)


def test_cubes_of_made_up_federations_are_those_of_sums():
    # Against each product by itself: what two terms are dealt, and what the clients always have in common.
    similar = federation(2, num_clients=6, num_rounds=3)
    keys = np.random.default_rng(1).random((125, 18))
    means, mean_cubes = _made_up(similar, keys, np.random.default_rng(3))
    steady = _persistent(similar, np.random.default_rng(3))
    assert steady.std() > 0.001
    for draw in range(3):
        dealt = np.empty(18, int)
        for start in (0, 6, 12):
            dealt[start : start + 6] = start + np.argsort(keys[draw, start : start + 6])
        owner = similar.owners[dealt]
        products = similar.cosines + steady[draw][np.ix_(owner, owner)]
        for i, j in combinations(range(6), 2):
            different = similar.rounds[:, None] != similar.rounds
            values = products[np.outer(owner == i, owner == j) & different]
            assert len(values) == 6
            assert means[draw, i, j] == pytest.approx(values.mean(), rel=1e-4, abs=1e-7)
            assert mean_cubes[draw, i, j] == pytest.approx((values**3).mean(), rel=1e-4, abs=1e-7)


def test_clients_that_are_all_the_same_are_no_group():
    similar = alike(np.zeros((8, 8)))
    assert most_alike([similar], np.random.default_rng(0)).probability == 1
    assert most_persistent([similar], np.random.default_rng(0)).probability == 1


def test_a_view_in_which_a_group_stands_out_is_found_among_others():
    plain, telling = federation(3, num_rounds=8), federation(0, num_rounds=8, attackers=(1, 2, 9), shared=0.6)
    alone, among = (
        most_alike(views, np.random.default_rng(0)) for views in ([telling], [plain, telling, plain])
    )
    np.testing.assert_array_equal(np.flatnonzero(among.members), (1, 2, 9))
    assert alone.probability <= among.probability < 1e-3


def test_views_that_tell_the_same_cost_nothing():
    # Updates change owners in all of them alike; only persistent directions are drawn for each.
    similar = federation(5)
    one, five = (most_alike([similar] * count, np.random.default_rng(0)).probability for count in (1, 5))
    assert one <= five * 1.2
    assert five < 4 * one


@drill
def test_false_alarms_over_several_views_are_as_rare_as_promised():
    # 40 federations, three independent views each, tested at 5 %: more than 9 alarms have one below 1e-4.
    alarms = [
        most_alike([federation(seed + 100 * view) for view in range(3)], np.random.default_rng(seed))
        for seed in range(40)
    ]
    assert sum(found.probability < 0.05 for found in alarms) <= 9


def test_the_most_persistent_client_of_any_view():
    quiet, telling = federation(3), federation(0, attackers=[4], shared=1.0)
    found = most_persistent([quiet, telling, quiet], np.random.default_rng(0))
    np.testing.assert_array_equal(np.flatnonzero(found.members), [4])
    assert found.probability < 1e-3
