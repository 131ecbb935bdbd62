import threading
from collections import Counter
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_backdoor.federation.grid import StoppableGrid
from fl_backdoor.federation.participants import assign, draw, sizes


def test_the_same_seed_and_round_draw_the_same_clients():
    assert draw(50, 10, 3, 4) == draw(50, 10, 3, 4)


def test_rounds_and_seeds_draw_different_clients():
    # There are 1.7e13 ways to draw 10 of 100: two of 100 draws are the same with a chance of 3e-10.
    assert (
        len({tuple(draw(100, 10, seed, server_round)) for seed in range(5) for server_round in range(20)})
        == 100
    )


@given(st.data(), st.integers(1, 60), st.integers(0, 2**31), st.integers(1, 1000))
def test_a_draw_is_sorted_and_without_repetition(data, num_clients, seed, server_round):
    num_participants = data.draw(st.integers(1, num_clients))
    drawn = draw(num_clients, num_participants, seed, server_round)
    assert drawn == sorted(set(drawn))
    assert len(drawn) == num_participants
    assert set(drawn) <= set(range(num_clients))
    assert all(type(client_id) is int for client_id in drawn)


@given(st.integers(0, 10**6), st.integers(1, 1000), st.sets(st.integers(0, 19), max_size=6))
def test_whoever_takes_part_for_certain_displaces_the_last_drawn(seed, server_round, certain):
    plain, drawn = (draw(20, 6, seed, server_round, who) for who in ((), certain))
    assert drawn == sorted(set(drawn))
    assert len(drawn) == 6
    assert certain <= set(drawn)
    assert set(drawn) - certain <= set(plain)
    if certain <= set(plain):
        assert drawn == plain


def grid_of(node_ids):
    return SimpleNamespace(get_node_ids=lambda: node_ids)


def test_all_clients_take_part_where_all_are_wanted():
    assert draw(7, 7, 0, 1) == list(range(7))


@pytest.mark.parametrize("seed", range(3))
def test_every_client_is_drawn_equally_often(seed):
    # A client is drawn in a round with p = 0.2, so in 1,000 rounds 200 ± √(1000·0.2·0.8) = 12.6 times.
    # The sum over 20 clients of (count - 200)² / 200, times (n-1)/(n·(1-p)) = 19/16, is χ² with 19 degrees
    # of freedom, whose 99.99 % quantile is 50.8 (scipy.stats.chi2.ppf).
    counts = Counter(client_id for r in range(1, 1001) for client_id in draw(20, 4, seed, r))
    statistic = sum((counts[client_id] - 200) ** 2 / 200 for client_id in range(20)) * 19 / 16
    assert statistic < 50.8
    assert statistic > 3  # its 0.01 % quantile is 4.0: more even than that would be no chance


@given(st.sets(st.integers(0, 99), min_size=1), st.sets(st.integers(0, 2**63), min_size=1, max_size=20))
def test_each_client_is_asked_of_one_node_and_the_load_is_even(clients, nodes):
    shares = assign(sorted(clients), grid_of(nodes))
    asked = [client_id for share in shares.values() for client_id in share]
    assert sorted(asked) == sorted(clients)
    assert set(shares) <= nodes
    sizes = [len(share) for share in shares.values()]
    assert min(sizes) >= 1
    assert max(sizes) <= -(-len(clients) // len(nodes))


def test_assignment_by_hand():
    assert assign([2, 3, 5, 7, 11], grid_of([30, 10])) == {10: (2, 5, 11), 30: (3, 7)}
    assert assign([4], grid_of([30, 10, 20])) == {10: (4,)}
    assert assign([4], grid_of([])) == {}


def test_where_clients_live_on_certain_nodes_those_are_asked_and_who_is_away_is_not():
    class Homes(StoppableGrid):
        def homes(self):
            return {0: 30, 1: 10, 2: 30, 4: 20}

        def own_samples(self):
            return {2: 70}

    grid = Homes(grid_of([10, 20, 30, 40]), threading.Event(), 0.01)
    assert assign([0, 2, 1, 3], grid) == {10: (1,), 30: (0, 2)}
    assert assign([3], grid) == {}
    assert sizes((5, 6, 7, 8), grid) == (5, 6, 70, 8)
    assert sizes((5, 6), grid_of([10])) == (5, 6)
