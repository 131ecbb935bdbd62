"""The whole rule on made-up federations: who is flagged, what becomes of them, and what it remembers."""

from dataclasses import replace

import numpy as np
import pytest

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.layout import Layout, TensorSpec
from fl_backdoor.runs import checkpoint
from fl_backdoor.runs.checkpoint import Checkpoint, Progress
from strategies.persistent_direction import group_test, rule
from strategies.persistent_direction.rule import PersistentDirection

NUM_CLIENTS, NUM_PARAMS = 10, 500
ATTACKERS = (1, 2, 9)
ALL_DRAWS = group_test.NUM_DRAWS


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    """A quarter of the made-up federations: how rare false alarms are is tested in `test_group_test`."""
    monkeypatch.setattr(group_test, "NUM_DRAWS", ALL_DRAWS // 4)


@pytest.fixture
def build(make_federation):
    vector = Layout((TensorSpec("weight", (NUM_PARAMS,), "float32", True),))

    def make(num_clients=NUM_CLIENTS, proxies=None, layout=vector, **settings):
        federation = make_federation(num_clients).knowing(layout=layout, proxy_clients=proxies)
        return federation.build(PersistentDirection, **settings)

    return make


@pytest.fixture
def round_of(make_clients):
    """Return a maker of rounds in which attackers share a direction; benign clients have none."""

    def make(server_round, attackers=ATTACKERS, client_ids=range(NUM_CLIENTS), shared=0.5, scale=1.0):
        random = np.random.default_rng(server_round)
        direction = np.random.default_rng(99).standard_normal(NUM_PARAMS)
        updates = random.standard_normal(NUM_PARAMS) + random.standard_normal((NUM_CLIENTS * 2, NUM_PARAMS))
        updates[list(attackers)] += shared * direction
        chosen = list(client_ids)
        return make_clients(scale * updates[chosen], server_round=server_round, client_ids=chosen)

    return make


def flagged_by(strategy):
    return tuple(np.flatnonzero(strategy.is_flagged).tolist())


def run(strategy, rounds):
    return [strategy.aggregate(clients) for clients in rounds]


def bounded(clients, ids):
    """Return the updates of clients, none longer than the median of their lengths."""
    updates = clients.updates[ids].astype(np.float64)
    lengths = np.linalg.norm(updates, axis=1)
    return updates * np.minimum(1, np.median(lengths) / lengths)[:, None]


def test_attackers_that_share_a_direction_are_left_out_for_good(build, round_of):
    strategy = build(response="leave_out")
    results = run(strategy, [round_of(number) for number in range(1, 9)])
    assert not any(result.filtered.any() for result in results[:2])
    first = next(number for number, result in enumerate(results) if result.flagged.any())
    assert first <= 5
    benign = np.setdiff1d(np.arange(NUM_CLIENTS), ATTACKERS)
    for number, result in enumerate(results[first:], first + 1):
        np.testing.assert_array_equal(np.flatnonzero(result.flagged), ATTACKERS)
        np.testing.assert_array_equal(result.flagged, result.filtered)
        wanted = bounded(round_of(number), benign).mean(axis=0)
        np.testing.assert_allclose(result.update, wanted, rtol=1e-5, atol=1e-6)


def test_the_median_is_of_whoever_is_not_flagged_and_makes_up_for_the_others(build, round_of):
    strategy = build(response="median")
    rounds = [round_of(number) for number in range(1, 9)]
    results = run(strategy, rounds)
    assert flagged_by(strategy) == ATTACKERS
    first = next(number for number, result in enumerate(results) if result.flagged.any())
    medians = np.stack(
        [
            np.median(clients.updates[~result.flagged].astype(np.float64), axis=0)
            for clients, result in zip(rounds, results, strict=True)
        ]
    )
    moved = np.stack([result.update for result in results])
    np.testing.assert_allclose(moved[:first], medians[:first], rtol=1e-6, atol=1e-7)
    # Afterwards it makes up for what the flagged clients had shifted it by, half of what is left a round.
    benign = np.setdiff1d(np.arange(NUM_CLIENTS), ATTACKERS)
    everybody = np.arange(NUM_CLIENTS)
    sums = np.sort(sum(bounded(clients, everybody)[benign] for clients in rounds[:first]), axis=0)
    alone = sums[1:-1].mean(axis=0)  # of seven one on either side is not counted
    owed = alone - medians[:first].sum(axis=0)
    halves = 0.5 ** np.arange(1, len(rounds) - first + 1)[:, None]
    np.testing.assert_allclose(moved[first:] - medians[first:], halves * owed, atol=1e-5)
    np.testing.assert_array_equal(results[0].flagged, False)
    np.testing.assert_array_equal(np.flatnonzero(results[-1].flagged), ATTACKERS)


def test_a_median_weighs_nobody(make_federation):
    weighted = make_federation(NUM_CLIENTS, weighting="num_examples")
    with pytest.raises(ConfigError, match=r"^server\.weighting .* under strategy\.response=median$"):
        weighted.build(PersistentDirection, response="median")


def test_nobody_is_flagged_where_nobody_attacks(build, round_of):
    strategy = build()
    results = run(strategy, [round_of(number, attackers=()) for number in range(1, 17)])
    assert not any(result.flagged.any() for result in results)


def test_who_is_suspected_is_left_out_of_single_rounds(build, round_of):
    # Rare enough to be flagged is nothing here; the attack ends after round 6.
    strategy = build(response="leave_out", false_alarm_rate=1e-200, suspicion=0.01)
    rounds = [round_of(number, attackers=ATTACKERS if number <= 6 else ()) for number in range(1, 26)]
    results = run(strategy, rounds)
    assert flagged_by(strategy) == ()
    np.testing.assert_array_equal(np.flatnonzero(results[5].flagged), ATTACKERS)
    benign = np.setdiff1d(np.arange(NUM_CLIENTS), ATTACKERS)
    np.testing.assert_allclose(
        results[5].update, bounded(rounds[5], benign).mean(axis=0), rtol=1e-5, atol=1e-6
    )
    assert not any(result.filtered.any() for result in results[22:])  # 16 honest rounds are remembered


def test_suspicion_keeps_a_backdoor_shut_until_its_owners_are_found(build, make_clients, monkeypatch):
    monkeypatch.setattr(group_test, "NUM_DRAWS", ALL_DRAWS)
    # Attackers pull the less the nearer the model is to where they want it.
    aim = np.random.default_rng(99).standard_normal(NUM_PARAMS)

    def flagged_and_open(suspicion):
        strategy, opened = build(response="leave_out", suspicion=suspicion), 0.0
        for number in range(1, 17):
            random = np.random.default_rng((1, number))
            updates = random.standard_normal(NUM_PARAMS) + random.standard_normal((NUM_CLIENTS, NUM_PARAMS))
            pull = 0.4 * (1 - opened)
            updates[list(ATTACKERS)] += pull * aim
            result = strategy.aggregate(make_clients(updates, server_round=number))
            opened += pull / 0.3 * result.weights[list(ATTACKERS)].sum()
        return flagged_by(strategy), opened

    nobody, opened = flagged_and_open(suspicion=0)
    assert nobody == ()
    assert opened > 0.95
    found, opened = flagged_and_open(suspicion=0.1)
    assert found == ATTACKERS
    assert opened < 0.75


@pytest.mark.parametrize("scale", [2.0**-20, 2.0**20])
def test_decisions_do_not_depend_on_scale(build, round_of, scale):
    plain, scaled = build(), build()
    run(plain, [round_of(number) for number in range(1, 6)])
    run(scaled, [round_of(number, scale=scale) for number in range(1, 6)])
    for name, memory in plain.memories.items():
        np.testing.assert_array_equal(memory.vectors, scaled.memories[name].vectors)
    assert flagged_by(plain) == flagged_by(scaled) == ATTACKERS


def test_clients_that_take_part_now_and_then_and_late_are_found(build, round_of):
    # Twelve clients, eight a round; client 11, an attacker, is there from round 10 on.
    strategy = build(num_clients=12)
    attackers = (1, 5, 11)
    draw = np.random.default_rng(0)
    for number in range(1, 26):
        there = np.sort(draw.choice(12 if number >= 10 else 11, 8, replace=False))
        strategy.aggregate(round_of(number, attackers=attackers, client_ids=there))
    assert flagged_by(strategy) == attackers


def test_who_starts_late_is_found_by_what_it_did_lately(build, round_of, monkeypatch):
    rounds = [round_of(number, attackers=ATTACKERS if number > 12 else ()) for number in range(1, 16)]
    strategy = build()
    run(strategy, rounds)
    assert flagged_by(strategy) == ATTACKERS
    # Beside twelve benign rounds of their own they are not found in three.
    monkeypatch.setattr(rule, "views", lambda everybody: [everybody])
    forgetful = build()
    run(forgetful, rounds)
    assert flagged_by(forgetful) == ()


def test_attackers_that_take_turns_are_found(build, round_of):
    strategy = build()
    turns = [[ATTACKERS[number % 3]] for number in range(1, 17)]
    run(strategy, [round_of(number, attackers=one, shared=1.5) for number, one in enumerate(turns, 1)])
    assert flagged_by(strategy) == ATTACKERS


def test_attackers_that_share_out_the_weights_meet_in_the_neurons(build, round_of):
    # Each pushes all neurons, by weights of its own: what it learns are errors times inputs.
    random = np.random.default_rng(3)
    pushed = np.outer(random.standard_normal(50), random.exponential(size=10)).ravel()
    owner = random.choice(ATTACKERS, NUM_PARAMS)

    def shared_out(number):
        clients = round_of(number, attackers=())
        updates = clients.updates.copy()
        for attacker in ATTACKERS:
            updates[attacker] += np.where(owner == attacker, pushed, 0)
        return replace(clients, updates=updates)

    def proxies(model, server_round, count, num_stages):
        noise = np.random.default_rng((7, server_round))
        yield from noise.standard_normal((count * num_stages, NUM_PARAMS)).astype(np.float32)

    matrix = Layout((TensorSpec("weight", (50, 10), "float32", True),))
    rounds = [shared_out(number) for number in range(1, 13)]
    strategy = build(layout=matrix, proxies=proxies, num_virtual=2)
    blind = build(proxies=proxies, num_virtual=2)
    run(strategy, rounds)
    run(blind, rounds)
    assert flagged_by(strategy) == ATTACKERS
    assert flagged_by(blind) == ()


@pytest.fixture
def skewed(round_of):
    """Return a maker of rounds in which clients pull in six directions as well, each by shares of its own."""
    pulls = np.random.default_rng(5).standard_normal((6, NUM_PARAMS))
    shares = np.random.default_rng(6).dirichlet(np.full(6, 0.5), NUM_CLIENTS)

    def make(server_round, attackers=ATTACKERS):
        clients = round_of(server_round, attackers=attackers)
        return replace(clients, updates=(clients.updates + 3 * shares @ pulls).astype(np.float32))

    def proxies(model, server_round, count, num_stages):
        """Play clients with the same pulls and noise of their own, in any proportion."""
        random = np.random.default_rng((7, server_round))
        for _ in range(count * num_stages):
            mixed = 3 * random.dirichlet(np.full(6, 0.5)) @ pulls + 0.2 * random.standard_normal(NUM_PARAMS)
            yield mixed.astype(np.float32)

    return make, proxies


@pytest.mark.parametrize(("attackers", "found"), [(ATTACKERS, ATTACKERS), ((), ())])
def test_proxy_clients_show_who_does_more_than_its_labels_explain(build, skewed, attackers, found):
    make, proxies = skewed
    rounds = [make(number, attackers) for number in range(1, 11)]
    alone, helped = build(), build(proxies=proxies, num_virtual=5)
    run(alone, rounds)
    run(helped, rounds)
    assert flagged_by(alone) == ()
    assert flagged_by(helped) == found


def test_so_many_proxy_clients_that_they_explain_anything_are_refused(build, skewed):
    with pytest.raises(
        ConfigError, match=r"^strategy\.num_virtual = 3: at most one in 8 of .*num_coordinates = 16$"
    ):
        build(proxies=skewed[1], num_virtual=3, num_coordinates=16)
    build(num_virtual=3, num_coordinates=16)  # nobody plays any


def test_one_attacker_is_found_by_its_persistence(build, round_of):
    strategy = build()
    run(strategy, [round_of(number, attackers=(4,), shared=1.0) for number in range(1, 9)])
    assert flagged_by(strategy) == (4,)


def test_who_says_that_it_has_few_samples_is_expected_to_repeat_itself(build, round_of):
    strategy = build()
    sizes = np.where(np.arange(NUM_CLIENTS) == 4, 5.0, 500.0)
    for number in range(1, 9):
        clients = round_of(number, attackers=(4,), shared=1.0)
        strategy.aggregate(replace(clients, num_examples=sizes))
    assert flagged_by(strategy) == ()
    again = build()
    again.restore(8, strategy.state())
    np.testing.assert_array_equal(again.num_samples, sizes)


def test_clipped_attackers_keep_their_weight(build, round_of):
    strategy = build(response="clip")
    run(strategy, [round_of(number) for number in range(1, 7)])
    assert flagged_by(strategy) == ATTACKERS
    clients = round_of(7)
    result = strategy.aggregate(clients)
    median = np.median(np.delete(clients.norms, ATTACKERS))
    np.testing.assert_allclose(result.clip_coefficients * clients.norms, np.minimum(clients.norms, median))
    wanted = (result.clip_coefficients[:, None] * clients.updates).mean(axis=0)
    np.testing.assert_allclose(result.update, wanted, atol=1e-5)
    assert not result.filtered.any()


def test_an_update_counts_for_no_more_than_one_of_median_length(build, make_clients):
    # Lengths 1, 2, …, 9 and 1,000, each along a coordinate of its own: the median is 5.5.
    updates = np.zeros((NUM_CLIENTS, NUM_PARAMS))
    np.fill_diagonal(updates, [*range(1, 10), 1000])
    result = build().aggregate(make_clients(updates, server_round=1))
    np.testing.assert_allclose(result.update[:10], [0.1, 0.2, 0.3, 0.4, 0.5, *[0.55] * 5], rtol=1e-6)
    assert not result.flagged.any()


def test_what_attackers_contributed_is_taken_back(build, round_of):
    strategy = build()
    rounds = [round_of(number) for number in range(1, 8)]
    results = run(strategy, rounds)
    owed = strategy.rollback.owed
    assert owed.any()
    moved = owed + sum(result.update.astype(np.float64) for result in results)
    assert flagged_by(strategy) == ATTACKERS
    benign = np.setdiff1d(np.arange(NUM_CLIENTS), ATTACKERS)
    # Until they were flagged the median was everybody's.
    everybody = np.arange(NUM_CLIENTS)
    wanted = sum(
        bounded(clients, benign).mean(axis=0)
        if result.filtered.any()
        else bounded(clients, everybody)[benign].mean(axis=0)
        for clients, result in zip(rounds, results, strict=True)
    )
    np.testing.assert_allclose(moved, wanted, atol=1e-5)


def test_a_round_of_flagged_clients_alone_keeps_the_model(build, round_of):
    strategy = build()
    run(strategy, [round_of(number) for number in range(1, 7)])
    result = strategy.aggregate(round_of(7, client_ids=ATTACKERS))
    assert result.filtered.all()
    assert not result.update.any()
    assert not result.weights.any()


def test_never_half_of_the_clients_are_flagged(build, round_of):
    strategy = build()
    run(strategy, [round_of(number, attackers=range(5)) for number in range(1, 10)])
    assert 2 * strategy.is_flagged.sum() < NUM_CLIENTS


@pytest.mark.parametrize("response", ["leave_out", "take_back", "median"])
@pytest.mark.parametrize("stopped_after", [0, 3, 6])
def test_a_run_that_goes_on_makes_the_same_bits(build, round_of, tmp_path, response, stopped_after):
    settings = {"response": response, "span": 4}
    whole, first, second = (build(**settings) for _ in range(3))
    rounds = [round_of(number) for number in range(1, 9)]
    wanted = run(whole, rounds)
    run(first, rounds[:stopped_after])
    progress = Progress(stopped_after, {}, "2026-01-01T00:00:00+00:00", 0.0)
    saved = Checkpoint(progress, {}, first.state())
    checkpoint.save(tmp_path, "key", saved)
    second.restore(stopped_after, checkpoint.load(tmp_path, "key").strategy)
    for mine, theirs in zip(wanted[stopped_after:], run(second, rounds[stopped_after:]), strict=True):
        np.testing.assert_array_equal(mine.update, theirs.update)
        np.testing.assert_array_equal(mine.flagged, theirs.flagged)
    assert flagged_by(second) == ATTACKERS
    assert all((array == second.state()[name]).all() for name, array in whole.state().items())


@pytest.mark.parametrize("response", ["take_back", "median"])
def test_what_was_handed_out_as_state_does_not_change(build, round_of, response):
    strategy = build(response=response)
    run(strategy, [round_of(number) for number in range(1, 4)])
    state = strategy.state()
    before = {name: array.copy() for name, array in state.items()}
    run(strategy, [round_of(number) for number in range(4, 8)])
    assert all((state[name] == before[name]).all() for name in state)


def test_ids_are_those_of_the_clients_that_answered(make_federation, exchange, make_state):
    strategy = make_federation(6).build(PersistentDirection)
    a_round = exchange(strategy)
    a_round.says(1, make_state([np.nan, 0, 0, 0, 0]))
    a_round.finish()
    np.testing.assert_array_equal(strategy.memories["tensors"].client_ids, [0, 2, 3, 4, 5])
