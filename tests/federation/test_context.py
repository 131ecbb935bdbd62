"""Who is malicious where the target class is not everybody's."""

from dataclasses import replace

import pytest

from clients import MaliciousClient
from fl_backdoor.config.schema import parse_whole
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.federation.client_app import build_client, build_hosted_client
from fl_backdoor.federation.context import ExperimentContext
from fl_backdoor.federation.hosting import Hosting
from fl_backdoor.federation.server_app import Experiment
from fl_backdoor.runner.composition import composed
from fl_backdoor.runner.experiment_key import clean_key, experiment_key
from tests.plain_draw import plain_draw

TARGET = 5


def config(*overrides: str):
    chosen = ["dataset=mnist5k", "partition=pathological", f"attack.target_label={TARGET}", *overrides]
    return parse_whole(next(composed(chosen)))[0]


def classes(context: ExperimentContext, client_id: int) -> set[int]:
    return set(context.data.train.labels[context.partition[client_id]].tolist())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_attackers_hold_the_target_class_or_do_not(seed):
    # Class 5 goes to client 5 and whoever else draws it.
    holding = ExperimentContext(config(f"seed={seed}", "attack.holds_target=true", "attack.num_malicious=1"))
    lacking = ExperimentContext(config(f"seed={seed}", "attack.holds_target=false", "attack.num_malicious=3"))
    assert len(holding.malicious_ids) == 1
    assert len(lacking.malicious_ids) == 3
    assert all(TARGET in classes(holding, client_id) for client_id in holding.malicious_ids)
    assert all(TARGET not in classes(lacking, client_id) for client_id in lacking.malicious_ids)


def test_server_and_clients_agree_on_who_is_malicious():
    wanted = config("attack.holds_target=false")
    assert Experiment(wanted).malicious == ExperimentContext(wanted).malicious_ids


@pytest.mark.parametrize("seed", range(10))
def test_three_attackers_that_take_turns_are_one_in_each_round(seed):
    experiment = Experiment(config("partition=iid", "attack=turns", f"seed={seed}"))
    attackers = [[c for c in range(10) if experiment.is_attacking(c, number)] for number in range(1, 7)]
    assert [len(one) for one in attackers] == [1] * 6
    assert sorted(attackers[:3]) == [[client] for client in sorted(experiment.malicious)]


def test_a_node_knows_the_turns_of_its_clients_as_the_server_does():
    experiment = Experiment(config("partition=iid", "attack=turns", "seed=1"))
    context = ExperimentContext(experiment.config)
    for client_id in experiment.malicious:
        here = Hosting((client_id,), is_malicious=True)
        clients = (build_client(context, client_id), build_hosted_client(here, context, client_id))
        wanted = [experiment.is_attacking(client_id, number) for number in range(1, 7)]
        for client in clients:
            assert isinstance(client, MaliciousClient)
            assert [client.attacks(number) for number in range(1, 7)] == wanted


def test_one_shot_finds_its_attacker_among_those_who_are_drawn():
    wanted = config("partition=iid", "attack=one_shot", "partition.num_clients=50", "clients_per_round=5")
    for seed in range(12):
        experiment = Experiment(replace(wanted, seed=seed))
        [attacker] = experiment.malicious
        assert attacker in experiment.participants(8)
        assert experiment.is_attacking(attacker, 8)
        assert experiment.notices == []
        assert [experiment.participants(r) for r in (7, 9)] == [plain_draw(50, 5, seed, r) for r in (7, 9)]


def test_attackers_who_are_never_drawn_are_pointed_out():
    sampled = config(
        *("partition=iid", "attack=late", "attack.num_malicious=1", "attack.participation=sampled"),
        *("partition.num_clients=50", "clients_per_round=5", "num_rounds=8"),
    )
    for seed in range(5):
        experiment = Experiment(replace(sampled, seed=seed))
        drawn = {*plain_draw(50, 5, seed, 7), *plain_draw(50, 5, seed, 8)}
        assert bool(experiment.notices) == experiment.malicious.isdisjoint(drawn)
    assert experiment.notices[0].startswith("nobody attacks in this run: in no round does a malicious client")


def test_attackers_with_too_few_samples_to_poison_any_do_not_attack():
    # 400 samples each: a batch of 4,000 would have 4 stamped samples, one of 400 has none.
    wanted = config("partition=iid", "client.batch_size=4000", "attack.alpha=0.001")
    experiment = Experiment(wanted)
    assert not any(experiment.is_attacking(client_id, 1) for client_id in experiment.malicious)
    assert len(experiment.notices) == 1
    assert Experiment(replace(wanted, attack=replace(wanted.attack, alpha=0.003))).notices == []


def test_how_many_stamped_samples_have_the_targets_class_anyway_is_said():
    iid = Experiment(config("partition=iid"))
    labels, held = iid.context.data.train.labels, [iid.context.partition[c] for c in iid.malicious]
    by_hand = sum(int(labels[row]) == TARGET for rows in held for row in rows) / sum(map(len, held))
    assert iid.stamped_of_target_class == by_hand
    assert by_hand == pytest.approx(0.1, abs=0.05)
    assert Experiment(config("attack.alpha=0")).stamped_of_target_class is None
    assert Experiment(config("attack=none")).stamped_of_target_class is None
    assert Experiment(config("attack.holds_target=false")).stamped_of_target_class == 0
    alone = ("partition.partitioner.num_classes_per_partition=1", "attack.num_malicious=1")
    holding = Experiment(config("attack.holds_target=true", *alone))
    assert holding.stamped_of_target_class == 1
    assert holding.notices[-1].startswith("100% of the attackers' samples are of class 5 anyway, the target")
    assert Experiment(config("attack.holds_target=false")).notices == []


def test_how_attackers_get_into_a_round_changes_the_runs_name_and_not_its_clean_model():
    sampled, fixed = config(), config("attack.participation=fixed")
    assert experiment_key(sampled.to_dict()) != experiment_key(fixed.to_dict())
    assert clean_key(sampled) == clean_key(fixed)


def test_too_few_such_clients_are_one_line():
    with pytest.raises(ConfigError) as error:
        _ = ExperimentContext(config("partition=iid", "attack.holds_target=false")).malicious_ids
    assert str(error.value) == (
        "attack.num_malicious = 3: attack.holds_target = False leaves 0 clients, those without samples of "
        "class 5; see partition"
    )


def test_who_attacks_changes_the_runs_name_and_not_its_clean_model():
    anybody, holding = config(), config("attack.holds_target=true")
    assert experiment_key(anybody.to_dict()) != experiment_key(holding.to_dict())
    assert clean_key(anybody) == clean_key(holding)


@pytest.mark.parametrize("later", ["holds_target", "participation"])
def test_runs_older_than_a_setting_keep_their_names(later):
    plain = config().to_dict()
    older = {**plain, "attack": {key: value for key, value in plain["attack"].items() if key != later}}
    assert experiment_key(plain) == experiment_key(older)


def test_a_run_says_which_samples_belong_to_no_client():
    [line] = Experiment(config("partition=pathological", "partition.num_clients=3")).notices
    assert line.startswith(
        "partition: 2000 of 4000 training samples belong to no client; no client has class"
    )
    assert Experiment(config("partition=pathological")).notices == []
