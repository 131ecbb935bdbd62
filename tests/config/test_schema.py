import json
from copy import deepcopy

import pytest

from fl_backdoor.config.schema import parse, parse_json, parse_whole
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.runner.composition import composed


@pytest.fixture(scope="module")
def plain():
    return parse_whole(next(composed([])))[0].to_dict()


def changed(plain, key, value):
    copy = deepcopy(plain)
    *path, name = key.split(".")
    node = copy
    for part in path:
        node = node[part]
    node[name] = value
    return copy


def test_the_defaults_are_the_articles_setting(plain):
    config = parse(plain)
    attack = config.attack
    assert (config.partition.num_clients, config.num_rounds, config.participants_per_round) == (10, 16, 10)
    assert (attack.num_malicious, attack.alpha, attack.target_label) == (3, 0.052, 5)


def test_a_schedule_that_begins_after_the_last_round_is_refused(plain):
    late = changed(plain, "attack.first_round", 17)
    with pytest.raises(ConfigError) as error:
        parse(late)
    assert str(error.value) == (
        "attack.first_round = 17: must be at most num_rounds = 16, or nobody attacks; attack=none is a run "
        "without attackers"
    )
    assert parse(changed(late, "num_rounds", 17))
    assert parse(changed(late, "attack.num_malicious", 0))


def test_more_attackers_than_participants_cannot_be_put_among_them(plain):
    fixed = changed(changed(plain, "attack.participation", "fixed"), "clients_per_round", 2)
    with pytest.raises(ConfigError) as error:
        parse(fixed)
    assert str(error.value) == (
        "attack.participation = fixed: 3 malicious clients attack at the same time, only 2 clients take part "
        "in a round"
    )
    assert parse(changed(fixed, "attack.every", 2))


def test_a_configuration_survives_the_way_through_json(plain):
    config = parse(plain)
    assert parse_json(config.to_json()) == config
    assert json.loads(config.to_json())["attack"]["alpha"] == 0.052


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("attack.alpha", 1.5, "attack.alpha = 1.5: must be less than or equal to 1"),
        ("attack.alpha", "high", "attack.alpha = high: must be a valid number"),
        ("attack.alpha", float("nan"), "attack.alpha = nan: must be a finite number"),
        ("num_rounds", 0, "num_rounds = 0: must be greater than or equal to 1"),
        ("num_rounds", 2.5, "num_rounds = 2.5: must be a valid integer, got a number with a fractional part"),
        ("client.learning_rate", 0, "client.learning_rate = 0: must be greater than 0"),
        ("attack.trigger_space", "latent", "attack.trigger_space = latent: must be 'pixel' or 'normalized'"),
        ("attack.alhpa", 0.1, "attack.alhpa = 0.1: no such setting"),
        ("attack.num_malicious", 11, "attack.num_malicious = 11: must be at most partition.num_clients = 10"),
        ("clients_per_round", 11, "clients_per_round = 11: must be at most partition.num_clients = 10"),
        (
            "server.min_replies",
            11,
            "server.min_replies = 11: must be at most the participants of a round, 10",
        ),
        ("attack.last_round", 0, "attack.last_round = 0: must be greater than or equal to 1"),
        ("client.optimizer", "lion", "client.optimizer = lion: must be 'sgd', 'adam' or 'adamw'"),
        (
            "client.optimizer",
            "adam",
            "client.momentum = 0.9: adam has none: leave it at 0.0, or take another",
        ),
        (
            "client.beta2",
            0.99,
            "client.beta2 = 0.99: sgd has none: leave it at 0.999, or take another optimizer",
        ),
        ("client.label_smoothing", 2, "client.label_smoothing = 2: must be less than or equal to 1"),
        ("client.max_grad_norm", 0, "client.max_grad_norm = 0: must be greater than 0"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value_and_what_is_allowed(plain, key, value, message):
    with pytest.raises(ConfigError) as error:
        parse(changed(plain, key, value))
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_nesterov_needs_momentum(plain):
    ahead = changed(plain, "client.nesterov", True)
    assert parse(ahead).client.nesterov
    with pytest.raises(ConfigError, match=r"^client\.nesterov = True: needs a momentum over 0$"):
        parse(changed(ahead, "client.momentum", 0.0))


def test_an_attackers_settings_of_another_optimiser_are_named_as_its_own(plain):
    adam = changed(plain, "attack.training.optimizer", "adam")
    own = parse(adam).attack.training.beside(parse(adam).client)
    assert (own.optimizer, own.momentum, own.learning_rate, own.beta1) == ("adam", 0.0, 0.05, 0.9)
    with pytest.raises(ConfigError, match=r"^attack\.training\.momentum = 0\.5: adam has none"):
        parse(changed(adam, "attack.training.momentum", 0.5))


def test_a_schedule_that_ends_before_it_begins_is_refused(plain):
    late = changed(changed(plain, "attack.first_round", 5), "attack.last_round", 4)
    with pytest.raises(ConfigError, match=r"attack\.last_round = 4: must be null or at least .* = 5"):
        parse(late)


@pytest.mark.parametrize(
    ("alpha", "num_malicious", "boost", "attacks"),
    [(0.052, 3, 1, True), (0, 3, 1, False), (0.02, 3, 1, False), (0.052, 0, 1, False), (0, 3, 2, True)],
)
def test_a_run_attacks_if_it_stamps_or_boosts(plain, alpha, num_malicious, boost, attacks):
    for key, value in {"alpha": alpha, "num_malicious": num_malicious, "boost_factor": boost}.items():
        plain = changed(plain, f"attack.{key}", value)
    assert parse(plain).attacks is attacks
