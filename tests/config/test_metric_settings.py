"""What the marks in the schema say is what everybody goes by."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fl_backdoor.analysis.clean_baseline import fill_clean_figures
from fl_backdoor.analysis.seeds import by_setting
from fl_backdoor.config.attack import AttackConfig
from fl_backdoor.config.marks import settings_of
from fl_backdoor.config.metric_settings import changes_no_metric, for_clients, without_attack
from fl_backdoor.config.schema import parse_whole
from fl_backdoor.runner import resume
from fl_backdoor.runner.composition import composed
from fl_backdoor.runner.experiment_key import clean_key, experiment_key
from fl_backdoor.runs.run import Run
from fl_backdoor.runs.run_folder import RunFolder
from fl_backdoor.runs.runs import flatten

BESIDE = {
    "clean_baseline": "run",
    "outputs": "elsewhere",
    "engine.num_workers": 1,
    "server.max_lost_rounds": 7,
    "dataset.root": "elsewhere",
    "dataset.cache": "elsewhere",
    "tracking": "tensorboard",
}

UNDER_ATTACK = {
    "attack.alpha": 0.3,
    "attack.last_round": 7,
    "attack.participation": "fixed",
    "attack.every": 3,
    "attack.training.momentum": 0.5,
    "attack.updates": "[noise,split]",
}


def config(*overrides):
    [plain] = composed(["dataset=mnist5k", "precision=fp32", *overrides])
    return parse_whole(plain)[0]


def run_of(config, **others):
    return Run(Path(), "run", flatten(config.to_dict()), **others)


@pytest.mark.parametrize(("key", "value"), BESIDE.items())
def test_what_is_beside_the_metrics_makes_no_other_run(key, value, tmp_path):
    one, other = config(), config(f"{key}={value}")
    assert one != other
    assert experiment_key(one.to_dict()) == experiment_key(other.to_dict())
    assert clean_key(one) == clean_key(other)
    assert len(by_setting([run_of(one), run_of(other)])) == 1
    RunFolder(tmp_path).start(one.to_dict(), [])
    resume.check_same_settings(other, tmp_path)


def test_a_name_that_only_begins_like_a_marked_one_counts():
    assert changes_no_metric("outputs")
    assert changes_no_metric("engine.device")
    assert changes_no_metric("jobs")
    assert not changes_no_metric("outputs_of_mine")
    assert not changes_no_metric("dataset.root_of_mine")
    assert not changes_no_metric("dataset.folder")


@pytest.mark.parametrize(("key", "value"), UNDER_ATTACK.items())
def test_how_an_attack_goes_changes_no_clean_model(key, value):
    one, other = config(), config(f"{key}={value}")
    assert experiment_key(one.to_dict()) != experiment_key(other.to_dict())
    assert clean_key(one) == clean_key(other)
    end = {"status": "finished", "rounds_finished": 16, "main_task_accuracy": 0.5}
    clean = run_of(without_attack(one), summary=end | {"attacks": False})
    attacked = run_of(other, summary=end | {"attacks": True})
    fill_clean_figures([clean, attacked])
    assert attacked.summary["clean_main_task_accuracy"] == 0.5


def test_every_setting_of_an_attack_says_what_it_is_without_one():
    measured_without_one_too = {"target_label", "trigger", "trigger_space", "poisoning"}
    marked = {name for name, setting in settings_of(AttackConfig).items() if setting.goes_by_attack}
    assert marked | measured_without_one_too == settings_of(AttackConfig).keys()
    assert not marked & measured_without_one_too


def test_clients_are_told_neither_the_defence_nor_the_tracker_nor_who_takes_part():
    chosen = json.loads(
        for_clients(config("strategy=hybrid", "tracking=tensorboard", "selection=by_samples"))
    )
    assert chosen["strategy"] == chosen["tracking"] == chosen["selection"] == {}
    assert chosen == replace(config(), strategy={}, selection={}).to_dict()
