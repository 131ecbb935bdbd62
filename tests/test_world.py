"""Who is malicious where the target class is not everybody's."""

import pytest

from clients.malicious import MaliciousClient
from fl_backdoor.clean_twin import clean_key
from fl_backdoor.client_app import build_client, build_hosted_client
from fl_backdoor.command_line import composed
from fl_backdoor.config import parse_whole
from fl_backdoor.deployment.hosting import Hosting
from fl_backdoor.errors import ConfigError
from fl_backdoor.experiment_key import experiment_key
from fl_backdoor.server_app import Experiment
from fl_backdoor.world import World

TARGET = 5


def config(*overrides: str):
    told = ["dataset=mnist5k", "partition=pathological", f"attack.target_label={TARGET}", *overrides]
    return parse_whole(next(composed(told)))[0]


def classes(world: World, client_id: int) -> set[int]:
    return set(world.data.train.labels[world.partition[client_id]].tolist())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_attackers_hold_the_target_class_or_do_not(seed):
    # Class 5 goes to client 5 and whoever else draws it.
    holding = World(config(f"seed={seed}", "attack.holds_target=true", "attack.num_malicious=1"))
    lacking = World(config(f"seed={seed}", "attack.holds_target=false", "attack.num_malicious=3"))
    assert len(holding.malicious_ids) == 1
    assert len(lacking.malicious_ids) == 3
    assert all(TARGET in classes(holding, client_id) for client_id in holding.malicious_ids)
    assert all(TARGET not in classes(lacking, client_id) for client_id in lacking.malicious_ids)


def test_server_and_clients_agree_on_who_is_malicious():
    wanted = config("attack.holds_target=false")
    assert Experiment(wanted).malicious == World(wanted).malicious_ids


@pytest.mark.parametrize("seed", range(10))
def test_three_attackers_that_take_turns_are_one_in_each_round(seed):
    experiment = Experiment(config("attack=turns", f"seed={seed}"))
    attackers = [[c for c in range(10) if experiment.is_attacking(c, number)] for number in range(1, 7)]
    assert [len(one) for one in attackers] == [1] * 6
    assert sorted(attackers[:3]) == [[client] for client in sorted(experiment.malicious)]


def test_a_node_knows_the_turns_of_its_clients_as_the_server_does():
    experiment = Experiment(config("attack=turns", "seed=1"))
    world = World(experiment.config)
    for client_id in experiment.malicious:
        here = Hosting((client_id,), is_malicious=True)
        clients = (build_client(world, client_id), build_hosted_client(here, world, client_id))
        wanted = [experiment.is_attacking(client_id, number) for number in range(1, 7)]
        for client in clients:
            assert isinstance(client, MaliciousClient)
            assert [client.attacks(number) for number in range(1, 7)] == wanted


def test_too_few_such_clients_are_one_line():
    with pytest.raises(ConfigError) as error:
        _ = World(config("partition=iid", "attack.holds_target=false")).malicious_ids
    assert str(error.value) == (
        "attack.num_malicious = 3: attack.holds_target = False leaves 0 clients, those without samples of "
        "class 5; see partition"
    )


def test_who_attacks_changes_the_runs_name_and_not_its_clean_model():
    anybody, holding = config(), config("attack.holds_target=true")
    assert experiment_key(anybody.to_dict()) != experiment_key(holding.to_dict())
    assert clean_key(anybody) == clean_key(holding)


def test_runs_older_than_the_setting_keep_their_names():
    plain = config().to_dict()
    older = {
        **plain,
        "attack": {key: value for key, value in plain["attack"].items() if key != "holds_target"},
    }
    assert experiment_key(plain) == experiment_key(older)
