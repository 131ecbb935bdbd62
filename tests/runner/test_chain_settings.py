"""Chains on the command line: which settings there are, which count, and what a run is called."""

from pathlib import Path

import pytest
import yaml

import conf
from fl_backdoor.analysis import seeds
from fl_backdoor.config.schema import parse_whole
from fl_backdoor.core import chains, strategy_plugin
from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.federation.context import ExperimentContext
from fl_backdoor.federation.proxy_clients import ProxyClients
from fl_backdoor.federation.server_app import build_strategy, courier_of
from fl_backdoor.runner.checks import check
from fl_backdoor.runner.composition import composed, compositions
from fl_backdoor.runner.experiment_key import experiment_key
from fl_backdoor.runs.run import Run, of_strategy
from fl_backdoor.runs.runs import flatten

CHAIN = "strategy=chain"
SOME = "strategy.steps=[norm_clipping,nnm,multi_krum,weak_noise]"
STRATEGIES = Path(conf.__file__).parent / "strategy"


def strategy(*overrides):
    return next(composed([CHAIN, *overrides]))["strategy"]


def test_every_strategy_can_be_a_step():
    listed = yaml.safe_load((STRATEGIES / "chain.yaml").read_text())["defaults"]
    for name in sorted({path.stem for path in STRATEGIES.glob("*.yaml")} - {"chain"}):
        line = f"{name}@{name}"
        assert line in listed, f"conf/strategy/chain.yaml: the line '  - {line}' is missing"


def test_a_chain_has_settings_of_its_steps_alone():
    found = strategy(SOME, "strategy.multi_krum.num_malicious=2", "strategy.norm_clipping.bound=1.5")
    assert found == {
        "_target_": "strategies.Chain",
        "steps": ["norm_clipping", "nnm", "multi_krum", "weak_noise"],
        "norm_clipping": {"_target_": "strategies.NormClipping", "bound": 1.5},
        "nnm": {"_target_": "strategies.NNM", "num_malicious": 3},
        "multi_krum": {"_target_": "strategies.MultiKrum", "num_malicious": 2, "num_to_select": 5},
        "weak_noise": {"_target_": "strategies.WeakNoise", "noise_std": 0.002},
    }


def test_the_key_of_a_run_follows_from_the_steps_that_are_used():
    def key(*overrides):
        return experiment_key(next(composed(["-m", CHAIN, "strategy.steps=[nnm,median]", *overrides])))

    assert key() == key("strategy.multi_krum.num_malicious=1")
    assert key() != key("strategy.nnm.num_malicious=1")
    assert key() != key("strategy.steps=[median]") != key("strategy.steps=[nnm]")


def test_what_an_unused_step_asks_for_need_not_be_there():
    # The names of attackers are not known before the data are dealt out; only the oracle filter asks.
    strategy("attack.holds_target=true")
    with pytest.raises(FlBackdoorError, match=r"attack.holds_target = True: must be null"):
        strategy("attack.holds_target=true", "strategy.steps=[benign_alone]")
    assert strategy("strategy.steps=[benign_alone,median]")["benign_alone"]["client_ids"]


def test_sweeps_over_steps_and_over_their_settings():
    asked = ["-m", CHAIN, "strategy.steps=[norm_clipping],[nnm,median]", "strategy.nnm.num_malicious=1,2"]
    found = [config["strategy"] for config in composed(asked)]
    assert [one["steps"] for one in found] == [["norm_clipping"]] * 2 + [["nnm", "median"]] * 2
    assert [one.get("nnm", {}).get("num_malicious") for one in found] == [None, None, 1, 2]


def test_a_step_of_ones_own(tmp_path):
    (tmp_path / "strategy").mkdir()
    own = {"_target_": "tests.strategies.made_steps.Shortest"}
    (tmp_path / "strategy" / "mine.yaml").write_text(yaml.safe_dump(own))
    own_step = ["+strategy@strategy.mine=mine", "strategy.steps=[mine,median]"]
    found = next(composed([f"--config-dir={tmp_path}", CHAIN, *own_step]))["strategy"]
    assert found["mine"] == own
    strategy_plugin.check(found, "courier")


def test_the_same_step_with_other_settings_under_another_name():
    found = strategy(
        "+strategy@strategy.tight=norm_clipping",
        "strategy.tight.bound=0.1",
        "strategy.steps=[norm_clipping,tight]",
    )
    assert (found["norm_clipping"]["bound"], found["tight"]["bound"]) == (None, 0.1)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["strategy.steps=[norm_cliping]"],
            r"norm_cliping: must be one of .*; did you mean norm_clipping",
        ),
        (
            ["strategy.steps=norm_clipping"],
            r"norm_clipping: must be a list, such as ",
        ),
        (
            ["strategy.steps=[nnm]", "strategy.krum.num_malicious=1"],
            r"strategy.krum.num_malicious = 1: strategy.steps = \[nnm\] names no krum",
        ),
        (["+strategy.nn.bound=1"], r"strategy.nn = .*: no such setting; known here: steps, norm_clipping"),
        (["+strategy.bound=1"], "strategy.bound = 1: no such setting; known here: steps, norm_clipping"),
        (["strategy.norm_clipping.bound=0"], "strategy.norm_clipping.bound = 0: must be greater than 0"),
        (
            ["+strategy.weak_noise.std=1"],
            "strategy.weak_noise.std = 1: no such setting; known",
        ),
    ],
)
def test_what_is_wrong_with_a_chain_is_one_line(overrides, message):
    with pytest.raises(FlBackdoorError, match=message):
        strategy_plugin.check(strategy(*overrides), "courier")


def test_an_error_of_a_step_names_its_setting():
    spec = strategy("strategy.steps=[flower]", "strategy.flower.beta=0.1")
    with pytest.raises(FlBackdoorError, match=r"^strategy.flower.beta = 0.1: Krum has no such setting"):
        strategy_plugin.build(spec, inside={"courier": None})


def test_a_run_is_called_by_its_steps(tmp_path):
    composition = next(compositions([CHAIN, SOME, f"outputs={tmp_path}"]))
    assert "_chain-norm_clipping-nnm-multi_krum-weak_noise_alpha-0.052" in composition.folder.name
    title = "chain(norm_clipping>nnm>multi_krum>weak_noise)"
    assert chains.title(composition.config["strategy"]) == title
    unfinished = Run(Path(), "", settings=flatten(composition.config))
    assert unfinished.strategy == title


def test_a_long_chain_leaves_room_in_the_name_of_its_folder():
    steps = ["persistent_direction"] * 20
    assert len(chains.folder_name("chain", {"_target_": "strategies.Chain", "steps": steps})) == 120


def test_another_strategy_may_have_steps_of_its_own():
    own = {"_target_": "my_lab.Rule", "steps": [1, 2], "inner": {"_target_": "my_lab.Inner"}}
    assert not chains.is_chain(own)
    assert chains.unused(own) == []
    assert chains.title(own) == chains.folder_name("Rule", own) == "Rule"


def test_marks_and_groups_know_the_settings_of_steps():
    config = parse_whole(next(composed([CHAIN, "strategy.steps=[nnm,median]", "attack.num_malicious=3"])))[0]
    chosen = Run(Path(), "", settings=flatten(config.to_dict()))
    assert any("oracle: strategy.nnm.num_malicious = 3 is the true" in mark for mark in chosen.marks)
    named = Run(Path(), "", settings={"strategy.benign_alone.client_ids": "[1, 4]", "strategy.steps": "[]"})
    named.summary = {"malicious_client_ids": "[1, 4]"}
    assert any("oracle: strategy.benign_alone.client_ids = [1, 4]" in mark for mark in named.marks)
    assert seeds.figure_settings(named)["strategy.benign_alone.client_ids"] == "the attackers"
    assert of_strategy({"strategy.client_ids": 1, "attack.client_ids": 2}, "client_ids") == {
        "strategy.client_ids": 1
    }


def test_an_optimiser_of_the_server_follows_any_strategy_as_the_last_step_of_a_chain():
    adam = yaml.safe_load((STRATEGIES / "fed_adam.yaml").read_text())
    for told, steps in (
        (["strategy=krum"], ["rule", "server_optimizer"]),
        ([CHAIN, "strategy.steps=[nnm,median]"], ["nnm", "median", "server_optimizer"]),
    ):
        found = parse_whole(next(composed(["dataset=mnist5k", *told, "server_optimizer=fed_adam"])))[0]
        whole = chains.followed_by(found.strategy, found.server_optimizer)
        assert (whole["steps"], whole["server_optimizer"]) == (steps, adam)
        assert chains.followed_by(found.strategy, {}) is found.strategy
        name = chains.title(found.strategy, found.server_optimizer)
        assert name in {"Krum+FedAdam", "chain(nnm>median)+FedAdam"}
        assert Run(Path(), "", settings=flatten(found.to_dict())).strategy == name
        context, courier = ExperimentContext(found), courier_of(found)
        proxies, sizes = ProxyClients(found, (400,) * 10), (400,) * 10
        built = build_strategy(found, context.layout, sizes, proxies, courier)
        assert list(built.steps) == steps
        assert built.courier is courier
        assert built.steps["server_optimizer"].server.layout == context.layout


def test_which_optimiser_the_server_has_counts():
    def key(*told):
        return experiment_key(parse_whole(next(composed(["dataset=mnist5k", *told])))[0].to_dict())

    plain = parse_whole(next(composed(["dataset=mnist5k"])))[0].to_dict()
    without = {name: value for name, value in plain.items() if name != "server_optimizer"}
    assert key() == key("server_optimizer=none") == experiment_key(without)
    found = {key(f"server_optimizer={name}") for name in ("none", "fed_avgm", "fed_adam", "fed_yogi")}
    assert len(found | {key("server_optimizer=fed_adam", "server_optimizer.eta=0.1")}) == 5


@pytest.mark.parametrize(
    ("told", "line"),
    [
        (
            ["server_optimizer=fed_adam", "server_optimizer.beta2=1"],
            "server_optimizer.beta2 = 1: must be less",
        ),
        (
            ["strategy=nnm", "server_optimizer=fed_adam", "partition.num_clients=5"],
            "strategy.num_malicious = 3: NNM needs at least 2 * 3 + 1 = 7 clients a round, clients_per_round",
        ),
        (
            ["server_optimizer=fed_adam", "server_optimizer._target_=strategies.Median"],
            "server_optimizer.eta = 0.01: no such setting",
        ),
        (
            ["+server_optimizer._target_=strategies.Median"],
            "strategy.steps = [rule, server_optimizer]: after",
        ),
    ],
)
def test_what_is_wrong_with_it_is_named_as_it_was_set(told, line):
    with pytest.raises(FlBackdoorError) as error:
        check(parse_whole(next(composed(["dataset=mnist5k", *told])))[0])
    assert str(error.value).startswith(line)
