"""Who takes part in a round: the plain draw, exactly so many attackers, and by samples."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_backdoor.attacks.schedule import Schedule
from fl_backdoor.config.schema import parse_json, parse_whole
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.seeding import Purpose, generator
from fl_backdoor.federation.participants import draw as drawn_by
from fl_backdoor.federation.selection.base import Candidates, Selection
from fl_backdoor.federation.selection.by_samples import BySamples
from fl_backdoor.federation.selection.fixed_attackers import FixedAttackers
from fl_backdoor.federation.selection.uniform import Uniform
from fl_backdoor.federation.server_app import Experiment
from fl_backdoor.runner.checks import check_light
from fl_backdoor.runner.composition import composed
from fl_backdoor.runner.experiment_key import clean_key, experiment_key
from tests.plain_draw import plain_draw


def draw(num_clients, num_participants, seed, server_round, certain=()):
    candidates = Candidates(num_participants, sizes=[1] * num_clients)
    return drawn_by(Uniform(), candidates, seed, server_round, certain)


def config(*overrides):
    [plain] = composed(["dataset=mnist5k", "precision=fp32", *overrides])
    return parse_whole(plain)[0]


@given(st.data(), st.integers(1, 60), st.integers(0, 2**31), st.integers(1, 1000))
def test_the_plain_draw_is_what_it_was_before_there_were_others(data, num_clients, seed, server_round):
    count = data.draw(st.integers(1, num_clients))
    drawn = draw(num_clients, count, seed, server_round)
    assert drawn == plain_draw(num_clients, count, seed, server_round)
    assert all(type(client_id) is int for client_id in drawn)


def test_rounds_and_seeds_draw_different_clients():
    # There are 1.7e13 ways to draw 10 of 100: two of 100 draws are the same with a chance of 3e-10.
    assert (
        len({tuple(draw(100, 10, seed, server_round)) for seed in range(5) for server_round in range(20)})
        == 100
    )


@given(st.integers(0, 10**6), st.integers(1, 1000), st.sets(st.integers(0, 19), max_size=6))
def test_whoever_takes_part_for_certain_displaces_the_last_drawn(seed, server_round, certain):
    plain, drawn = (draw(20, 6, seed, server_round, who) for who in ((), certain))
    assert drawn == sorted(set(drawn))
    assert len(drawn) == 6
    assert certain <= set(drawn)
    assert set(drawn) - certain <= set(plain)
    if certain <= set(plain):
        assert drawn == plain


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


TWENTY = [1] * 20
MALICIOUS = (2, 3, 5, 7, 11)


def with_attackers(selection, server_round, seed=0):
    drawn = drawn_by(selection, Candidates(6, TWENTY, MALICIOUS, Schedule(3, 12)), seed, server_round)
    return [client_id for client_id in drawn if client_id in MALICIOUS]


@pytest.mark.parametrize(
    ("settings", "rounds"),
    [
        ({}, [3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
        ({"every": 3}, [3, 6, 9, 12]),
        ({"rounds": [9, 4]}, [4, 9]),
    ],
)
@pytest.mark.parametrize("seed", range(5))
def test_so_many_attackers_take_part_in_their_rounds_and_none_in_others(settings, rounds, seed):
    selection = FixedAttackers(num_attackers=2, **settings)
    found = {each: len(with_attackers(selection, each, seed)) for each in range(1, 16)}
    assert found == {each: 2 if each in rounds else 0 for each in range(1, 16)}


def test_attackers_take_turns_in_the_order_of_their_ids():
    selection = FixedAttackers(num_attackers=2, every=2, in_turn=True)
    found = [with_attackers(selection, each) for each in (3, 5, 7, 9)]
    assert found == [[2, 3], [5, 7], [2, 11], [3, 5]]
    alone = FixedAttackers(rounds=[8, 4, 6, 12], in_turn=True)
    assert [with_attackers(alone, each) for each in (4, 6, 8, 12)] == [[2], [3], [5], [7]]


def test_every_attacker_and_every_benign_client_is_drawn_in_the_long_run():
    selection, drawn = FixedAttackers(num_attackers=2), Counter()
    candidates = Candidates(6, TWENTY, MALICIOUS, Schedule(1, None))
    for each in range(1, 1001):
        drawn.update(drawn_by(selection, candidates, 0, each))
    # Binomial(1000, 2 / 5) and (1000, 4 / 15): standard deviations 15.5 and 14.0; five on either side.
    assert sum(drawn[client_id] for client_id in MALICIOUS) == 2000
    assert all(abs(drawn[client_id] - 400) < 78 for client_id in MALICIOUS)
    assert all(
        abs(drawn[client_id] - 1000 * 4 / 15) < 70 for client_id in range(20) if client_id not in MALICIOUS
    )


@pytest.mark.parametrize("seed", range(5))
def test_more_attackers_displace_benign_clients_and_change_no_others(seed):
    candidates = Candidates(6, TWENTY, MALICIOUS, Schedule(1, None))
    one, three = ({*drawn_by(FixedAttackers(num_attackers=k), candidates, seed, 1)} for k in (1, 3))
    assert one & {*MALICIOUS} < three & {*MALICIOUS}
    assert three - {*MALICIOUS} < one - {*MALICIOUS}


def test_without_attackers_it_is_the_plain_draw():
    for each in range(1, 9):
        found = drawn_by(FixedAttackers(num_attackers=2), Candidates(6, TWENTY), 4, each)
        assert found == plain_draw(20, 6, 4, each)


def test_a_client_is_drawn_by_where_in_all_samples_a_number_falls():
    # Of eight samples the first is client 0's, the next two are client 1's.
    owners = [0, 1, 1, 2, 2, 2, 2, 2]
    for each in range(1, 200):
        share = generator(3, Purpose.PARTICIPANTS, each).random()
        assert drawn_by(BySamples(), Candidates(1, [1, 2, 5]), 3, each) == [owners[int(share * 8)]]


def test_sizes_count_by_their_ratios_alone():
    for each in range(1, 50):
        small, large = (drawn_by(BySamples(), Candidates(2, [k, k, 2 * k]), 0, each) for k in (1, 512))
        assert small == large


def test_the_largest_of_three_takes_part_in_five_of_six_rounds():
    # First with 1/2, or after one of the others with 2/3: 1/2 + 1/2 * 2/3 = 5/6; the others share the rest.
    drawn = Counter(
        c for each in range(1, 1801) for c in drawn_by(BySamples(), Candidates(2, [1, 1, 2]), 0, each)
    )
    # Binomial(1800, 5/6): standard deviation 15.8; five of them on either side.
    assert abs(drawn[2] - 1500) < 80
    assert all(abs(drawn[client_id] - 1050) < 106 for client_id in (0, 1))


def test_all_take_part_where_there_are_no_more():
    assert drawn_by(BySamples(), Candidates(4, [1, 1000, 1, 1]), 0, 1) == [0, 1, 2, 3]


def test_whoever_attacks_takes_part_whatever_the_selection():
    by_samples = ("selection=by_samples", "partition=quantity_skew", "clients_per_round=4")
    experiment = Experiment(config(*by_samples, "attack.participation=fixed", "attack.first_round=3"))
    assert experiment.malicious < {*experiment.participants(3)}
    assert len(experiment.participants(3)) == 4
    sizes = [len(indices) for indices in experiment.context.partition]
    assert experiment.participants(2) == drawn_by(BySamples(), Candidates(4, sizes), 0, 2)


def test_a_run_draws_its_attackers_where_they_attack():
    asked = config(
        *("selection=fixed_attackers", "selection.num_attackers=2", "selection.every=2", "attack=late"),
        *("partition.num_clients=20", "clients_per_round=5", "num_rounds=12", "attack.num_malicious=4"),
    )
    experiment = Experiment(asked)
    attacking = {
        each: [c for c in experiment.participants(each) if experiment.is_attacking(c, each)]
        for each in range(1, 13)
    }
    assert [each for each, found in attacking.items() if len(found) == 2] == [7, 9, 11]
    assert all(not experiment.malicious & {*experiment.participants(each)} for each in range(1, 7))
    assert experiment.notices == []


ATTACKED = ("selection=fixed_attackers", "partition.num_clients=12", "clients_per_round=4")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["selection.num_attackers=4"],
            "selection.num_attackers = 4: must be at most attack.num_malicious = 3",
        ),
        (
            ["selection.num_attackers=3", "clients_per_round=2"],
            "selection.num_attackers = 3: must be at most the participants of a round = 2",
        ),
        (
            ["attack.num_malicious=10", "selection.num_attackers=1"],
            "clients_per_round = 4: a round has up to 3 seats for benign clients, of whom there are 2",
        ),
        (
            ["attack.num_malicious=9", "selection.every=2"],
            "clients_per_round = 4: a round has up to 4 seats for benign clients, of whom there are 3",
        ),
        (
            ["selection.rounds=[2,9]", "attack.last_round=8"],
            "selection.rounds = [2, 9]: in round 9 nobody attacks, see attack.first_round",
        ),
        (["selection.rounds=[17]"], "selection.rounds = [17]: must name some of the rounds 1 … 16"),
        (
            ["selection.rounds=[2]", "selection.every=2"],
            "selection.every = 2: must be 1 where selection.rounds names the rounds",
        ),
        (
            ["attack.participation=fixed"],
            "attack.participation = fixed: must be sampled where the selection says",
        ),
        (
            ["attack.every=3"],
            "attack.every = 3: must be 1 where the selection says",
        ),
        (["selection.num_attackers=0"], "selection.num_attackers = 0: must be greater than or equal to 1"),
        (
            ["+selection.k=2"],
            "selection.k = 2: no such setting; known here: every, in_turn, num_attackers, rounds",
        ),
        (["selection._target_=nowhere.Any"], "selection._target_ = nowhere.Any: cannot be imported"),
    ],
)
def test_what_cannot_work_is_one_line(overrides, message):
    with pytest.raises(ConfigError) as error:
        check_light(config(*ATTACKED, *overrides))
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "overrides", [["attack=none"], ["attack.num_malicious=9"], ["selection.rounds=[3,99]"]]
)
def test_what_can_work_is_not_refused(overrides):
    check_light(config(*ATTACKED, *overrides))


class Twice(Selection):
    def drawn(self, server_round, candidates, random):
        return [1] * candidates.num_participants


def test_a_selection_that_names_a_client_twice_is_one_line():
    with pytest.raises(ConfigError) as error:
        drawn_by(Twice(), Candidates(2, [1, 1, 1]), 0, 7)
    assert str(error.value) == "selection = Twice: draws [1, 1] in round 7, not 2 different ones of 0 … 2"


def test_the_factor_of_model_replacement_knows_how_many_take_part():
    fixed = ("selection=fixed_attackers", "selection.num_attackers=2", "attack.participation=sampled")
    asked = config("attack=one_shot", *fixed, "attack.num_malicious=3", "clients_per_round=8")
    assert asked.attack.boost_factor == 8 / 2


def test_who_takes_part_changes_a_runs_name_and_how_many_attackers_do_no_clean_model():
    plain, one, two, by_samples = (
        config(*overrides)
        for overrides in (
            ["selection=uniform"],
            ["selection=fixed_attackers"],
            ["selection=fixed_attackers", "selection.num_attackers=2"],
            ["selection=by_samples"],
        )
    )
    assert len({experiment_key(each.to_dict()) for each in (plain, one, two, by_samples)}) == 4
    assert clean_key(one) == clean_key(two)
    assert len({clean_key(each) for each in (plain, one, by_samples)}) == 3
    older = {key: value for key, value in plain.to_dict().items() if key != "selection"}
    assert experiment_key(older) == experiment_key(plain.to_dict())
    assert parse_json(two.to_json()) == two
