"""What attackers that know of defences send, worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from fl_backdoor.attacks.knowledge import Knowledge
from fl_backdoor.attacks.updates.imitation import Imitation
from fl_backdoor.attacks.updates.noise import Noise
from fl_backdoor.attacks.updates.partial import Partial
from fl_backdoor.attacks.updates.scaling import Scaling
from fl_backdoor.config.schema import parse_whole
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.layout import Layout, TensorSpec
from fl_backdoor.federation.context import ExperimentContext
from fl_backdoor.runner.checks import check
from fl_backdoor.runner.composition import composed
from fl_backdoor.runner.experiment_key import clean_key, experiment_key

HONEST = np.array([0, 2, 1, -1], dtype=np.float32)
UPDATE = np.array([4, 0, 1, 3], dtype=np.float32)
KNOWN = Knowledge(
    seed=7,
    server_round=1,
    client_id=4,
    rank=0,
    num_malicious=3,
    layout=Layout((TensorSpec("weight", (4,), "float32", True),)),
    received=[np.zeros(4, np.float32)],
    shared={},
    honest=HONEST.copy,
    honest_of_all=lambda: HONEST[None],
)
ONES = np.ones(3000, dtype=np.float32)


def known(**changed) -> Knowledge:
    return replace(KNOWN, honest=np.zeros(3000, np.float32).copy, **changed)


def test_scaling_multiplies():
    assert Scaling(factor=2.5).manipulated(UPDATE, KNOWN).tolist() == [10, 0, 2.5, 7.5]


def test_an_imitator_mixes_both_updates():
    assert Imitation(share=0.25).manipulated(UPDATE, KNOWN).tolist() == [1, 1.5, 1, 0]
    assert Imitation(share=1).manipulated(UPDATE, KNOWN).tolist() == UPDATE.tolist()


def test_noise_is_as_long_as_it_is_said_to_be():
    sent = Noise(ratio=2).manipulated(UPDATE, KNOWN)
    assert sent.dtype == np.float32
    assert np.linalg.norm(sent - UPDATE) == pytest.approx(2 * np.sqrt(26), rel=1e-6)


def test_everybodys_noise_is_its_own_in_each_round():
    others = [known(), known(client_id=5), known(server_round=2), known(seed=8)]
    noise = np.stack([Noise().manipulated(ONES, one) - ONES for one in others])
    cosines = noise @ noise.T / 3000
    # Off the diagonal the standard deviation is 1 / sqrt(3000) = .018.
    np.testing.assert_allclose(cosines, np.eye(4), atol=0.1)
    assert np.array_equal(Noise().manipulated(ONES, known()), noise[0] + 1)


def parts(partial: Partial, clients: list[Knowledge]) -> np.ndarray:
    """Which coordinates carry the poisoned update, bool (n_clients, n_params)."""
    return np.stack([partial.manipulated(ONES, client) for client in clients]) == 1


def test_attackers_that_split_the_work_send_one_whole_backdoor():
    split = Partial(num_parts=3, every=None, together=False)
    found = parts(split, [known(rank=rank) for rank in range(3)])
    assert found.sum(axis=0).tolist() == [1] * 3000
    # Binomial(3000, 1/3): five standard deviations are 130.
    assert np.abs(found.sum(axis=1) - 1000).max() < 130
    later = parts(split, [known(rank=rank, server_round=9) for rank in range(3)])
    assert np.array_equal(found, later), "an attacker stays where it is"


def test_attackers_that_shift_go_through_all_parts_together():
    shifting = Partial(num_parts=3, every=2, together=True)
    found = parts(shifting, [known(server_round=number) for number in range(1, 8)])
    same = found @ found.T > 0
    assert [row.tolist().index(True) for row in same] == [0, 0, 2, 2, 4, 4, 0]
    assert found[::2][:3].sum(axis=0).tolist() == [1] * 3000
    other = parts(shifting, [known(rank=2, client_id=9)])
    assert np.array_equal(found[:1], other)


def test_one_part_is_the_whole_update():
    whole = Partial(num_parts=1, every=1, together=True)
    assert whole.manipulated(UPDATE, KNOWN).tolist() == UPDATE.tolist()


def config(*overrides: str):
    return parse_whole(next(composed(["dataset=mnist5k", *overrides])))[0]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["attack.updates=[imitation]", "attack.update.imitation.share=1.5"],
            "attack.update.imitation.share = 1.5: must be less than or equal to 1",
        ),
        (
            ["attack.updates=[boost]"],
            "attack.updates = boost: must be among those that attack.update has settings of: scaling, noise, "
            "imitation, shifting, split",
        ),
    ],
)
def test_a_wrong_setting_of_a_manipulation_is_one_line(overrides, message):
    with pytest.raises(ConfigError) as error:
        check(config(*overrides))
    assert str(error.value) == message


@pytest.mark.parametrize(
    "overrides",
    [["attack.updates=[noise]"], ["attack.updates=[noise,split]"], ["attack.training.momentum=0"]],
)
def test_what_attackers_do_changes_the_runs_name_and_not_its_clean_model(overrides):
    plain, hidden = check(config()).config, check(config(*overrides)).config
    assert experiment_key(plain.to_dict()) != experiment_key(hidden.to_dict())
    assert clean_key(plain) == clean_key(hidden)


def test_the_order_of_manipulations_counts_and_what_is_not_named_does_not():
    (plain,), (other,) = composed(["attack.update.noise.ratio=3"]), composed([])
    assert experiment_key(plain) == experiment_key(other)
    assert config("attack.update.noise.ratio=3").attack.update == {}
    orders = ("attack.updates=[noise,split]", "attack.updates=[split,noise]")
    assert len({experiment_key(next(composed([order]))) for order in orders}) == 2


def test_runs_keep_the_names_of_before_there_were_parts():
    plain = config().to_dict()
    parts = ("poisoning", "training", "updates", "update", "client")
    older = {key: value for key, value in plain["attack"].items() if key not in parts}
    client = {key: value for key, value in plain["client"].items() if key not in ("options", "_target_")}
    assert experiment_key(plain) == experiment_key({**plain, "attack": older, "client": client})


@pytest.mark.parametrize(
    ("overrides", "names"),
    [
        (["attack.boost_factor=4"], ["Scaling"]),
        (["attack.boost_factor=4", "attack.updates=[noise]"], ["Scaling", "Noise"]),
        (["attack.boost_factor=4", "attack.updates=[noise,scaling]"], ["Noise", "Scaling"]),
        (["attack.updates=[noise]"], ["Noise"]),
    ],
)
def test_the_factor_scales_first_unless_it_is_told_where(overrides, names):
    updates = ExperimentContext(config(*overrides)).attack.updates
    assert [type(update).__name__ for update in updates] == names
    assert all(update.factor == 4 for update in updates if isinstance(update, Scaling))


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
        # Three attackers in turns of two rounds: those of ranks 0 and 2 strike together.
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
