"""What attackers that know of defences send, worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from fl_backdoor.attacks.disguises.base import Attempt
from fl_backdoor.attacks.disguises.imitation import Imitation
from fl_backdoor.attacks.disguises.noise import Noise
from fl_backdoor.attacks.disguises.partial import Partial
from fl_backdoor.config.schema import parse_whole
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.runner.checks import check
from fl_backdoor.runner.composition import composed
from fl_backdoor.runner.experiment_key import clean_key, experiment_key

HONEST = np.array([0, 2, 1, -1], dtype=np.float32)
UPDATE = np.array([4, 0, 1, 3], dtype=np.float32)
ATTEMPT = Attempt(UPDATE, HONEST.copy, seed=7, server_round=1, client_id=4, place=0)


def long_attempt(**changed) -> Attempt:
    update = np.ones(3000, dtype=np.float32)
    return replace(ATTEMPT, update=update, honest=np.zeros(3000, np.float32).copy, **changed)


def test_an_imitator_mixes_both_updates():
    assert Imitation(share=0.25).disguised(ATTEMPT).tolist() == [1, 1.5, 1, 0]
    assert Imitation(share=1).disguised(ATTEMPT).tolist() == UPDATE.tolist()


def test_noise_is_as_long_as_it_is_said_to_be():
    sent = Noise(ratio=2).disguised(ATTEMPT)
    assert sent.dtype == np.float32
    assert np.linalg.norm(sent - UPDATE) == pytest.approx(2 * np.sqrt(26), rel=1e-6)


def test_everybodys_noise_is_its_own_in_each_round():
    attempts = [long_attempt(), long_attempt(client_id=5), long_attempt(server_round=2), long_attempt(seed=8)]
    noise = np.stack([Noise().disguised(attempt) - attempt.update for attempt in attempts])
    cosines = noise @ noise.T / 3000
    # Off the diagonal the standard deviation is 1 / sqrt(3000) = .018.
    np.testing.assert_allclose(cosines, np.eye(4), atol=0.1)
    assert np.array_equal(Noise().disguised(long_attempt()), noise[0] + 1)


def parts(disguise: Partial, attempts: list[Attempt]) -> np.ndarray:
    """Which coordinates carry the poisoned update, bool (n_attempts, n_params)."""
    return np.stack([disguise.disguised(attempt) for attempt in attempts]) == 1


def test_attackers_that_split_the_work_send_one_whole_backdoor():
    split = Partial(num_parts=3, every=None, together=False)
    found = parts(split, [long_attempt(place=place) for place in range(3)])
    assert found.sum(axis=0).tolist() == [1] * 3000
    # Binomial(3000, 1/3): five standard deviations are 130.
    assert np.abs(found.sum(axis=1) - 1000).max() < 130
    later = parts(split, [long_attempt(place=place, server_round=9) for place in range(3)])
    assert np.array_equal(found, later), "an attacker stays where it is"


def test_attackers_that_shift_go_through_all_parts_together():
    shifting = Partial(num_parts=3, every=2, together=True)
    found = parts(shifting, [long_attempt(server_round=number) for number in range(1, 8)])
    same = found @ found.T > 0
    assert [row.tolist().index(True) for row in same] == [0, 0, 2, 2, 4, 4, 0]
    assert found[::2][:3].sum(axis=0).tolist() == [1] * 3000
    other = parts(shifting, [long_attempt(place=2, client_id=9)])
    assert np.array_equal(found[:1], other)


def test_one_part_is_no_disguise():
    assert Partial(num_parts=1, every=1, together=True).disguised(ATTEMPT).tolist() == UPDATE.tolist()


def config(*overrides: str):
    return parse_whole(next(composed(["dataset=mnist5k", *overrides])))[0]


def test_a_wrong_setting_of_a_disguise_is_one_line():
    with pytest.raises(ConfigError) as error:
        check(config("attack/disguise=imitation", "attack.disguise.share=1.5"))
    assert str(error.value) == "attack.disguise.share = 1.5: must be less than or equal to 1"


@pytest.mark.parametrize("disguise", ["noise", "imitation", "shifting", "split"])
def test_a_disguise_changes_the_runs_name_and_not_its_clean_model(disguise):
    plain, hidden = check(config()).config, check(config(f"attack/disguise={disguise}")).config
    assert experiment_key(plain.to_dict()) != experiment_key(hidden.to_dict())
    assert clean_key(plain) == clean_key(hidden)


def test_runs_without_a_disguise_keep_the_names_of_before():
    assert experiment_key(config().to_dict()) == experiment_key(config("attack/disguise=none").to_dict())
    plain = config().to_dict()
    older = {key: value for key, value in plain["attack"].items() if key != "disguise"}
    assert experiment_key(plain) == experiment_key({**plain, "attack": older})


@pytest.mark.parametrize(
    ("attack", "active"),
    [
        ("backdoor", [3, 3, 3, 3, 3, 3, 3, 3, 3]),
        ("turns", [1] * 9),
        ("late", [0, 0, 0, 0, 0, 0, 3, 3, 3]),
        ("one_shot", [0, 0, 0, 0, 0, 0, 0, 1, 0]),
    ],
)
def test_how_many_attack_in_which_round(attack, active):
    from fl_backdoor.federation.server_app import Experiment

    experiment = Experiment(config(f"attack={attack}"))
    found = [sum(experiment.is_attacking(client, number) for client in range(10)) for number in range(1, 10)]
    assert found == active


@pytest.mark.parametrize(
    ("overrides", "factor"),
    [
        (["partition.num_clients=20"], 20),
        # n / (lambda m): 10 participants, lambda = 0.5, two attackers.
        (["partition.num_clients=50", "clients_per_round=10"], 10),
        (["partition.num_clients=50", "clients_per_round=10", "server.learning_rate=0.5"], 20),
        (["partition.num_clients=50", "clients_per_round=10", "attack.num_malicious=2"], 5),
        # Three attackers in turns of two rounds: those at places 0 and 2 strike together.
        (["clients_per_round=6", "attack.num_malicious=3", "attack.every=2"], 3),
        (["attack.num_malicious=0"], 1),
        (["attack.boost_factor=7"], 7),
    ],
)
def test_one_shot_replaces_the_model(overrides, factor):
    assert config("attack=one_shot", *overrides).attack.boost_factor == factor


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("server.learning_rate=0", "server.learning_rate = 0: must be greater than 0"),
        ("attack.every=0", "attack.every = 0: must be greater than or equal to 1"),
        ("attack.num_malicious=-1", "attack.num_malicious = -1: must be greater than or equal to 0"),
    ],
)
def test_what_the_factor_cannot_be_worked_out_of_is_named(override, message):
    with pytest.raises(ConfigError) as error:
        config("attack=one_shot", override)
    assert str(error.value) == message
