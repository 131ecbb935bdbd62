import sys

import pytest

from fl_backdoor.config.schema import parse_whole
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.federation.server_app import courier_of
from fl_backdoor.runner.checks import check_light
from fl_backdoor.runner.composition import composed
from fl_backdoor.runner.experiment_key import clean_key
from fl_backdoor.runner.tracking import choice
from fl_backdoor.runner.tracking.mlflow import MLflow
from fl_backdoor.runner.tracking.tensorboard import TensorBoard
from fl_backdoor.runner.tracking.wandb import WandB


def config(*overrides):
    return parse_whole(next(composed(["dataset=mnist5k", *overrides])), multirun=False)[0]


def test_without_a_choice_there_is_no_tracker():
    assert config().tracking == {}
    assert choice.build(config().tracking) is None


def test_the_choices():
    assert isinstance(choice.build(config("tracking=tensorboard").tracking), TensorBoard)
    tracker = choice.build(config("tracking=mlflow", "outputs=elsewhere/out").tracking)
    assert isinstance(tracker, MLflow)
    assert (tracker.uri, tracker.experiment) == ("sqlite:///elsewhere/out/mlflow.db", None)
    server = choice.build(config("tracking=mlflow", "tracking.uri=http://host:5000").tracking)
    assert isinstance(server, MLflow)
    assert server.uri == "http://host:5000"
    wandb = choice.build(config("tracking=wandb", "tracking.entity=lab").tracking)
    assert isinstance(wandb, WandB)
    assert (wandb.mode, wandb.project, wandb.entity) == ("offline", "fl_backdoor", "lab")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["+tracking._target_=tests.trackers.Missing"],
            "tracking = Missing: needs no_such_package_anywhere, which is not installed: "
            'pip install "fl-backdoor[nowhere]"',
        ),
        (["tracking=tensorboard", "+tracking.uri=x"], "tracking.uri = x: no such setting"),
        (["tracking=mlflow", "tracking.uri=null"], "tracking.uri = None: must be a valid string"),
        (["tracking=wandb", "tracking.mode=on"], "tracking.mode = on: must be 'offline' or 'online'"),
    ],
)
def test_what_cannot_work_is_one_line(overrides, message):
    with pytest.raises(ConfigError) as error:
        check_light(config(*overrides))
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_a_tracker_changes_no_figure():
    assert clean_key(config()) == clean_key(config("tracking=mlflow", "tracking.uri=http://host:5000"))


def test_clients_are_told_nothing_of_it():
    plain, followed = (courier_of(asked).experiment for asked in (config(), config("tracking=mlflow")))
    assert followed == plain


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (
            "mlflow",
            'tracking = MLflow: needs mlflow, which is not installed: pip install "fl-backdoor[mlflow]"',
        ),
        (
            "tensorboard",
            "tracking = TensorBoard: needs tensorboard, which is not installed: "
            'pip install "fl-backdoor[tensorboard]"',
        ),
        (
            "wandb",
            'tracking = WandB: needs wandb, which is not installed: pip install "fl-backdoor[wandb]"',
        ),
    ],
)
def test_a_package_that_is_not_installed_is_named(choice, message, monkeypatch):
    monkeypatch.setitem(sys.modules, choice, None)
    with pytest.raises(ConfigError) as error:
        check_light(config(f"tracking={choice}"))
    assert str(error.value) == message
