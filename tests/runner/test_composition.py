from pathlib import Path

import pytest

import conf
from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.runner.composition import composed, compositions, in_order, is_multirun, num_runs

STRATEGIES = sorted(path.stem for path in Path(conf.__file__).parent.joinpath("strategy").glob("*.yaml"))


def test_every_combination_of_a_sweep_is_composed():
    configs = list(composed(["-m", "attack.alpha=0,0.052,0.1", "strategy=fedavg,hybrid"]))
    found = {(config["attack"]["alpha"], config["strategy"]["_target_"]) for config in configs}
    assert len(configs) == len(found) == 6
    assert (0.052, "strategies.Hybrid") in found


def test_ranges_are_sweeps_too():
    assert [config["seed"] for config in composed(["-m", "seed=range(3)"])] == [0, 1, 2]


def test_a_glob_is_all_choices_that_match():
    targets = {config["strategy"]["_target_"] for config in composed(["-m", "strategy=glob(*med*)"])}
    assert targets == {"strategies.Median", "strategies.TrimmedMean"}
    assert num_runs(["strategy=glob(*med*)", "seed=1,2"]) == 4


@pytest.mark.parametrize("override", ["attack.alpha=0,0.1", "strategy=glob(*)", "seed=range(3)"])
def test_several_values_without_a_multirun_are_one_line(override):
    key, _, values = override.partition("=")
    with pytest.raises(FlBackdoorError) as error:
        list(composed([override]))
    assert str(error.value) == (
        f"{key} = {values}: several values are a sweep: add -m; a list is {key}=[{values}]"
    )


@pytest.fixture
def lab(tmp_path) -> Path:
    """A folder of configurations beside ours."""
    (tmp_path / "strategy").mkdir()
    (tmp_path / "strategy" / "mine.yaml").write_text("_target_: strategies.FedAvg\n")
    return tmp_path


def test_a_users_own_configurations_are_checked_like_ours(lab):
    configs = list(composed(["-m", f"--config-dir={lab}", "strategy=mine,hybrid"]))
    targets = [config["strategy"]["_target_"] for config in configs]
    assert targets == ["strategies.FedAvg", "strategies.Hybrid"]
    with pytest.raises(FlBackdoorError, match=r"strategy = mien: must be one of .* mean mine or median\?"):
        list(composed(["strategy=mien", "--config-dir", str(lab)]))
    with pytest.raises(FlBackdoorError, match="--config-dir = nowhere: is no folder"):
        list(composed(["--config-dir=nowhere"]))


def folder_of(*arguments):
    """Return the name of a run's folder, without time and key."""
    return next(compositions(list(arguments))).folder.name[len("10-15-00_") : -len("_seed-0_12345678")]


def test_the_search_path_is_checked_like_the_rest(lab, monkeypatch):
    monkeypatch.syspath_prepend(lab.parent)
    searched = f"hydra.searchpath=[pkg://{lab.name}]"
    with pytest.raises(FlBackdoorError, match=r"hydra.searchpath = test_\w+: must be a folder, or pkg://"):
        list(composed([searched, "strategy=mine"]))
    (lab / "__init__.py").touch()
    [config] = composed([searched, "strategy=mine"])
    assert config["strategy"] == {"_target_": "strategies.FedAvg"}
    [config] = composed(["hydra.searchpath=[pkg://conf]", "strategy=hybrid"])
    assert config["strategy"]["_target_"] == "strategies.Hybrid"


def test_a_folder_is_named_by_the_choice_or_by_the_class_in_its_place(lab):
    (lab / "strategy" / "mild.yaml").write_text("defaults: [hybrid, _self_]\nclip_gamma: 2\n")
    (lab / "experiment").mkdir()
    (lab / "experiment" / "ours.yaml").write_text(
        "# @package _global_\nstrategy: {_target_: my_lab.rules.Ours}\n"
    )
    ours = f"--config-dir={lab}"
    another = "strategy._target_=my_lab.rules.MyRule"
    assert folder_of() == folder_of("strategy._target_=strategies.FedAvg") == "fedavg_alpha-0.052"
    assert folder_of("strategy=benign_alone") == "benign_alone_alpha-0.052"
    assert folder_of(ours, "strategy=mine") == "mine_alpha-0.052"
    assert folder_of(ours, "strategy=mild") == "mild_alpha-0.052"
    assert folder_of(another, "+strategy.k=3") == "MyRule_alpha-0.052"
    assert folder_of(ours, "strategy=mild", another) == "MyRule_alpha-0.052"
    assert folder_of(ours, "experiment=ours") == "Ours_alpha-0.052"
    assert folder_of("strategy._target_=../../up") == "fedavg_alpha-0.052", "no name of a class"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-m", "--config-dir=lab", "strategy=a,b"], ["strategy=a,b", "-m", "--config-dir=lab"]),
        (["x=1", "-cd", "lab", "y=2", "-m", "z=3"], ["x=1", "y=2", "z=3", "-cd", "lab", "-m"]),
        (["--config-dir"], ["--config-dir"]),
        ([], []),
    ],
)
def test_options_may_stand_anywhere(arguments, expected):
    assert in_order(arguments) == expected
    if "-m" in arguments:
        assert is_multirun(arguments)


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
        ("attack.alhpa=0.1", "attack.alhpa: no such setting; known here: trigger, poisoning, training, "),
        (
            "strategy=krumm",
            f"strategy = krumm: must be one of {', '.join(STRATEGIES)}; did you mean krum?",
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
