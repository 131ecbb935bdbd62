"""Who is like flagged clients: against Student's law by hand, loops over products, false alarms and power."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from strategies.persistent_direction.likeness import _cubes_towards, most_like
from tests.strategies.test_group_test import alike, federation, with_samples


def most_like_first(views, num_flagged, known=None):
    """Ask who is most like the first clients."""
    num_clients = len(views[0].client_ids)
    known = with_samples(np.ones(num_clients)) if known is None else known
    return most_like(views, known, np.arange(num_clients) < num_flagged, np.random.default_rng(0))


def outlier_t(values, place):
    """Student's t of one value against the others, with their spread."""
    rest = np.delete(values, place)
    return (values[place] - rest.mean()) / (rest.std(ddof=1) * math.sqrt(1 + 1 / len(rest)))


def test_who_is_like_a_group_in_the_mean_by_hand():
    mean = np.zeros((7, 7))
    towards = np.array([0.1, 0.12, 0.09, 0.3, 0.11])
    mean[2:, 0], mean[2:, 1] = towards - 0.05, towards + 0.05  # with both of the group as much as `towards`
    mean += mean.T
    found = most_like_first([alike(mean)], 2)
    assert np.flatnonzero(found.members).tolist() == [5]
    # Five clients in one view; means and cubes are asked.
    assert found.probability == pytest.approx(2 * 5 * stats.t.sf(outlier_t(towards, 3), 3), rel=1e-6)
    twice = most_like_first([alike(mean), alike(np.zeros((7, 7)))], 2)
    assert twice.members.tolist() == found.members.tolist()
    assert twice.probability == pytest.approx(2 * found.probability, rel=1e-6)
    single = most_like_first([alike(mean)], 1)
    near = np.append(0, towards - 0.05)
    assert single.probability == pytest.approx(2 * 6 * stats.t.sf(outlier_t(near, 4), 4), rel=1e-6)


def test_mean_cubes_are_those_of_a_loop_over_products():
    similar = federation(2, num_clients=8, num_rounds=4)
    similar = similar.of(np.array([0, 1, 2, 4, 5, 7]))  # two are not known
    group = np.arange(6) < 2
    keys = np.random.default_rng(0).random((5, 32))
    seen, drawn = _cubes_towards(similar, group, keys)

    def loop(owners):
        wanted = []
        for client in range(2, 6):
            pairs = [
                similar.cosines[mine, theirs] ** 3
                for mine in np.flatnonzero(owners == client)
                for theirs in np.flatnonzero(similar.owners < 2)
                if similar.rounds[mine] != similar.rounds[theirs]
            ]
            wanted.append(np.mean(pairs))
        return wanted

    np.testing.assert_allclose(seen, [loop(similar.owners)], rtol=1e-9)
    for draw in range(5):
        owners = similar.owners.copy()
        for server_round in np.unique(similar.rounds):
            others = np.flatnonzero((similar.rounds == server_round) & (owners >= 2))
            owners[others] = owners[others[np.argsort(keys[draw, similar.terms[others]])]]
        np.testing.assert_allclose(drawn[draw], loop(owners), rtol=1e-9)


def test_one_product_that_is_large_by_chance_is_no_likeness():
    similar = federation(0, num_rounds=6, own=0)
    chance = similar.cosines.copy()
    mine, theirs = np.flatnonzero(similar.owners == 6)[0], np.flatnonzero(similar.owners == 0)[3]
    chance[mine, theirs] = chance[theirs, mine] = 0.5
    changed = replace(similar, cosines=chance)
    cubes = changed.mean_cube[2:, :2].mean(axis=1)
    assert 8 * stats.t.sf(outlier_t(cubes, 4), 6) < 1e-4  # a normal law takes it for an attacker
    assert most_like_first([changed], 2).probability > 0.05


def test_an_attacker_that_takes_turns_is_like_those_that_are_known():
    found = most_like_first([federation(0, num_rounds=16, attackers=(0, 1, 9), shared=1.5, turns=True)], 2)
    assert np.flatnonzero(found.members).tolist() == [9]
    assert found.probability < 1e-4


def test_an_attacker_that_comes_late_is_like_those_that_are_known():
    similar = federation(0, num_rounds=8, attackers=(0, 1, 2), shared=0.6)
    found = most_like_first([similar], 2)
    assert np.flatnonzero(found.members).tolist() == [2]
    assert found.probability < 0.01
    assert most_like_first([similar], 3).probability > 0.05


def test_likeness_that_numbers_of_samples_explain_counts_for_nothing():
    # Clients 0, 1, 8 and 9 have ten times as many samples as the others, and learn what these do not.
    large = (0, 1, 8, 9)
    similar = federation(0, num_rounds=8, attackers=large, shared=0.6)
    sizes = np.where(np.isin(np.arange(10), large), 1000.0, 100.0)
    explained, not_told = most_like_first([similar], 2, with_samples(sizes)), most_like_first([similar], 2)
    assert explained.probability > 0.05
    assert explained.probability > not_told.probability


def test_false_alarms_about_who_is_like_a_group_are_as_rare_as_promised():
    # 200 federations tested at 5 %: more than 24 alarms have a probability below 1e-4.
    for num_flagged in (1, 2):
        alarms = [most_like_first([federation(seed)], num_flagged).probability < 0.05 for seed in range(200)]
        assert sum(alarms) <= 24
