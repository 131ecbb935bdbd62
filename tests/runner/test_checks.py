import socket
from dataclasses import replace

import pytest
import torch

from fl_backdoor.config.metric_settings import without_attack
from fl_backdoor.config.schema import parse_whole
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.runner.checks import check
from fl_backdoor.runner.composition import composed
from fl_backdoor.runner.experiment_key import clean_key
from tests.made_sentences import write_sst2


def config(*overrides: str):
    return parse_whole(next(composed(["dataset=mnist5k", *overrides])))[0]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["attack.target_label=10"], "attack.target_label = 10: mnist5k has the classes 0 … 9"),
        (
            ["strategy=flower", "strategy.rule=Krum", "strategy.num_malicious=4"],
            "strategy.num_malicious = 4: Krum needs at least 2 * 4 + 3 = 11 clients a round, "
            "clients_per_round is 10",
        ),
        (
            ["strategy=hybrid", "strategy.suspect_ratio=1.5"],
            "strategy.suspect_ratio = 1.5: must be less than or equal to 1",
        ),
        (
            ["strategy=hybrid", "+strategy.gamma=1"],
            "strategy.gamma = 1: no such setting; known here: clip_decay",
        ),
        (["attack.trigger.rows=[2,28]"], "attack.trigger.rows = [2, 28]: must be ordered and within 0 … 27"),
        (["model._target_=nowhere.Model"], "model._target_ = nowhere.Model: cannot be imported"),
        pytest.param(
            ["engine.device=cuda"],
            "engine.device = cuda: PyTorch finds no GPU here",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
        ),
        (
            ["attack/trigger=word"],
            "attack.trigger._target_ = fl_backdoor.attacks.triggers.word.Word: is not made for the images of "
            "mnist5k; take attack/trigger=bar, or another that is",
        ),
        (
            ["model=embedding"],
            "model._target_ = fl_backdoor.models.embedding.MeanEmbedding: is not made for the images of "
            "mnist5k; take model=cnn, or another that is",
        ),
        (["+dataset.folder=x"], "dataset.folder = x: no such setting; known here: cache, download, root"),
    ],
)
def test_what_a_plug_in_cannot_work_with_is_one_line(overrides, message):
    with pytest.raises(ConfigError) as error:
        check(config(*overrides))
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


PLUG_INS = {
    "broken": "def rule(courier)\n    pass\n",
    "raising": "VALUE = {}['nothing']\n",
    "typed": """
from __future__ import annotations
from typing import TYPE_CHECKING
from strategies import FedAvg
if TYPE_CHECKING:
    from nowhere import Path
class Rule(FedAvg):
    def __init__(self, *, courier: Courier, file: Path | None = None, share: float = 0.5) -> None:
        if share > 0.5:
            raise RuntimeError("too\\nmuch")
        super().__init__(courier=courier)
""",
}


@pytest.fixture
def plug_ins(tmp_path, monkeypatch):
    for name, code in PLUG_INS.items():
        (tmp_path / f"{name}_plug_in.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["broken_plug_in.rule"],
            "broken_plug_in.rule: cannot be imported (broken_plug_in.py:1: expected ':')",
        ),
        (
            ["raising_plug_in.rule"],
            "raising_plug_in.rule: cannot be imported (raising_plug_in.py:1: KeyError: ",
        ),
        (
            ["typed_plug_in.Rule", "+strategy.share=0.9"],
            "typed_plug_in.Rule: cannot be built (typed_plug_in.py:",
        ),
        (
            ["flwr.serverapp.strategy.FedAvg"],
            "flwr.serverapp.strategy.FedAvg: takes no courier: is it made for another program?",
        ),
        (["builtins.dict"], "builtins.dict: "),
    ],
)
def test_a_strategy_that_cannot_be_used_is_one_line(plug_ins, overrides, message):
    target, *others = overrides
    with pytest.raises(ConfigError) as error:
        check(config(f"strategy._target_={target}", *others))
    assert str(error.value).startswith(f"strategy._target_ = {message}")
    assert "\n" not in str(error.value)


def test_types_that_only_a_type_checker_sees_stand_for_any(plug_ins):
    check(config("strategy._target_=typed_plug_in.Rule", "+strategy.file=3"))
    with pytest.raises(ConfigError, match=r"strategy\.share = much: must be a valid number"):
        check(config("strategy._target_=typed_plug_in.Rule", "+strategy.share=much"))


def test_a_ray_that_is_not_there_is_one_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigError, match=rf"engine\.address = {address}: no Ray answers there"):
            check(config(f"engine.address={address}"))
        taken.listen()
        check(config(f"engine.address={address}"))
    with pytest.raises(ConfigError, match=r"engine\.address = nowhere: must be local, auto or host:port"):
        check(config("engine.address=nowhere"))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["attack/trigger=bar"],
            "attack.trigger._target_ = fl_backdoor.attacks.triggers.bar.Bar: is not made for the sentences "
            "of sst2; take attack/trigger=word, or another that is",
        ),
        (
            ["model=cnn"],
            "model._target_ = fl_backdoor.models.cnn.CNN: is not made for the sentences of sst2; take "
            "model=embedding, or another that is",
        ),
        (["+model.depth=1"], "model.depth = 1: no such setting; known here: dimension, spread"),
        (
            ["attack.target_label=2"],
            "attack.target_label = 2: sst2 has the classes 0 … 1: negative, positive",
        ),
        (["attack.trigger.words=watched"], "attack.trigger.words = watched: 'watched' is not in the vocab"),
        (["attack.trigger_space=normalized"], "attack.trigger_space = normalized: Word takes pixel alone"),
    ],
)
def test_what_does_not_go_with_text_is_one_line(overrides, message, tmp_path):
    text = [
        "experiment=sst2",
        f"dataset.root={write_sst2(tmp_path)}",
        f"dataset.cache={tmp_path / 'cache'}",
    ]
    with pytest.raises(ConfigError) as error:
        check(parse_whole(next(composed([*text, *overrides])))[0])
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_auto_falls_back_to_the_embedded_digits_and_says_so(tmp_path, monkeypatch):
    monkeypatch.delenv("FL_BACKDOOR_DATA", raising=False)
    overrides = ["dataset=auto", f"dataset.root={tmp_path}", "dataset.download=false"]
    checked = check(config(*overrides))
    assert checked.config.dataset["_target_"] == "fl_backdoor.data.mnist5k.Mnist5k"
    [notice] = checked.notices
    assert "5,000 MNIST digits" in notice
    assert str(tmp_path) in notice


def test_an_alpha_that_stamps_nothing_is_pointed_out():
    [notice] = check(config("attack.alpha=0.02")).notices
    assert notice.startswith("attack.alpha = 0.02 poisons 0 of the 32 samples of a batch")
    assert check(config("attack.alpha=0.052")).notices == []
    assert check(config("attack.alpha=0")).notices == []


@pytest.mark.parametrize(
    "override",
    [
        "attack.alpha=0.3",
        "attack.num_malicious=1",
        "attack.boost_factor=5",
        "attack.first_round=3",
        "attack.every=3",
        "engine.num_workers=1",
    ],
)
def test_runs_that_differ_in_the_attack_or_the_engine_share_their_clean_baseline(override):
    assert clean_key(config()) == clean_key(config(override))


@pytest.mark.parametrize(
    "override",
    ["seed=1", "strategy=hybrid", "attack.trigger.rows=[0,1]", "attack.target_label=1", "num_rounds=3"],
)
def test_runs_that_differ_otherwise_do_not(override):
    assert clean_key(config()) != clean_key(config(override))


def test_a_clean_baseline_attacks_nobody():
    wanted = config()
    clean = without_attack(wanted)
    assert not clean.attacks
    assert replace(clean, attack=wanted.attack) == wanted
