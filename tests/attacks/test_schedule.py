from collections import Counter

from fl_backdoor.attacks.schedule import Schedule, malicious_ids


def test_attackers_take_turns():
    schedule = Schedule(2, 9, every=3)
    found = {place: [r for r in range(1, 12) if schedule.is_active(r, place)] for place in (0, 1, 2, 4)}
    assert found == {0: [2, 5, 8], 1: [3, 6, 9], 2: [4, 7], 4: [3, 6, 9]}


def test_both_ends_of_a_schedule_are_included():
    assert [round_ for round_ in range(1, 7) if Schedule(2, 4).is_active(round_, 0)] == [2, 3, 4]


def test_an_open_schedule_goes_on():
    assert Schedule(3, None).is_active(10**6, 5)
    assert not Schedule(3, None).is_active(2, 5)


def test_fewer_attackers_are_a_subset_of_more():
    assert malicious_ids(10, 1, seed=4) < malicious_ids(10, 3, seed=4) < malicious_ids(10, 10, seed=4)
    assert malicious_ids(10, 10, seed=4) == set(range(10))
    assert malicious_ids(10, 0, seed=4) == set()


def test_candidates_alone_are_malicious_in_the_same_order():
    order = [next(iter(malicious_ids(10, n, 4) - malicious_ids(10, n - 1, 4))) for n in range(1, 11)]
    even = [client for client in order if client % 2 == 0]
    assert [malicious_ids(10, n, 4, range(0, 10, 2)) for n in range(6)] == [set(even[:n]) for n in range(6)]
    assert malicious_ids(10, 7, seed=4, candidates={1, 2}) == {1, 2}


def test_every_client_is_malicious_about_equally_often():
    counts = Counter(client for seed in range(1000) for client in malicious_ids(10, 3, seed))
    # Binomial(1000, 0.3): standard deviation 14.5; five of them on either side.
    assert all(300 - 73 <= counts[client] <= 300 + 73 for client in range(10))
