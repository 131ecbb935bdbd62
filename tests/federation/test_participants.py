import threading
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from fl_backdoor.federation.grid import StoppableGrid
from fl_backdoor.federation.participants import assign, sizes


def grid_of(node_ids):
    return SimpleNamespace(get_node_ids=lambda: node_ids)


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
