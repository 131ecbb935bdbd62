import pytest

from fl_backdoor.command_line import composed, compositions
from fl_backdoor.errors import FlBackdoorError


def test_every_combination_of_a_sweep_is_composed():
    configs = list(composed(["-m", "attack.alpha=0,0.052,0.1", "strategy=fedavg,hybrid"]))
    found = {(config["attack"]["alpha"], config["strategy"]["_target_"]) for config in configs}
    assert len(configs) == len(found) == 6
    assert (0.052, "strategies.hybrid.Hybrid") in found


def test_ranges_are_sweeps_too():
    assert [config["seed"] for config in composed(["-m", "seed=range(3)"])] == [0, 1, 2]


@pytest.mark.parametrize("flag", ["--help", "--hydra-help", "--cfg=job", "--info=config"])
def test_what_hydra_answers_by_itself_starts_nothing(flag):
    assert list(composed([flag])) == []


def test_values_of_another_sweeper_are_not_known_beforehand():
    assert list(composed(["-m", "attack.alpha=interval(0,1)"])) == []


def test_nobody_attacks_is_refused_beside_an_experiment_that_has_attackers():
    with pytest.raises(FlBackdoorError, match=r"attack = none: .* sets attack.num_malicious to 5; .*alpha=0"):
        list(composed(["experiment=many_clients", "attack=none"]))


@pytest.mark.parametrize(
    "overrides",
    [
        ["attack=none"],
        ["experiment=article/clean", "attack=none"],
        ["experiment=many_clients", "attack=none", "attack.num_malicious=0", "attack.alpha=0"],
    ],
)
def test_nobody_attacks_where_nothing_speaks_against_it(overrides):
    [config] = composed(overrides)
    assert config["attack"]["num_malicious"] == config["attack"]["alpha"] == 0


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("attack.alhpa=0.1", "attack.alhpa: no such setting; known here: trigger, disguise, num_malicious"),
        (
            "strategy=krumm",
            "strategy = krumm: must be one of benign_alone, bulyan, clip_avg, fedavg, flame, flower, hybrid, "
            "iqr_filter, krum",
        ),
        ("strateggy=fedavg", "strateggy"),
        ("attack.alpha", "attack.alpha"),
    ],
)
def test_what_cannot_be_composed_is_one_line(override, message):
    with pytest.raises(FlBackdoorError) as error:
        list(composed([override]))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_runs_that_are_started_in_the_same_second_have_folders_of_their_own():
    folders = [
        next(compositions([f"seed={seed}", f"client.momentum={momentum}"])).folder
        for seed in (0, 1)
        for momentum in (0, 0.9)
    ]
    assert len({folder.name[len("10-15-00") :] for folder in folders}) == 4
    assert all(f"_fedavg_alpha-0.052_seed-{seed}_" in folders[2 * seed].name for seed in (0, 1))
