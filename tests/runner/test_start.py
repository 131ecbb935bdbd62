"""Runs that start from a trained model."""

import json
import shutil

import numpy as np
import pytest
from omegaconf import OmegaConf
from safetensors.numpy import load_file, save_file

from fl_backdoor.config.metric_settings import for_clients
from fl_backdoor.config.schema import parse_whole
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.federation.context import ExperimentContext
from fl_backdoor.runner import resume, start
from fl_backdoor.runner.checks import check_light
from fl_backdoor.runner.composition import composed
from fl_backdoor.runner.experiment_key import clean_key, experiment_key
from fl_backdoor.runner.rehearsal import ready
from fl_backdoor.runs.run_folder import RunFolder
from tests.golden.in_process import DEPLOYED, SMALL, configured, played


def looked_at(*overrides):
    [plain] = composed([*SMALL, *overrides])
    return check_light(parse_whole(plain)[0]).config


@pytest.fixture(scope="module")
def two_clean_rounds(tmp_path_factory):
    """The model after two rounds without attack under a rule that goes by the round's number."""
    file = tmp_path_factory.mktemp("start") / "clean.safetensors"
    save_file(dict(played(configured(*CLIPPED, "attack.num_malicious=0", "num_rounds=2"))[2]), file)
    return file


FEW = ("partition.num_clients=3", "attack.num_malicious=1")
CLIPPED = (*FEW, "strategy=clip_avg", "strategy.clip_gamma=0.5")


def test_a_run_that_counts_on_is_the_end_of_a_longer_one(two_clean_rounds):
    attacked = (*CLIPPED, "num_rounds=4", "attack.first_round=4", "attack.alpha=0.3")
    rows, clients, model = played(configured(*attacked))
    began = ["start=file", f"start.path={two_clean_rounds}", "start.after_round=2"]
    warm_rows, warm_clients, warm_model = played(configured(*attacked, *began))
    assert [row["server_round"] for row in warm_rows] == [2, 3, 4]
    assert warm_rows[1:] == rows[3:]
    assert {name: rows[2][name] for name in warm_rows[0]} == warm_rows[0], "the model that it starts from"
    assert warm_clients == [row for row in clients if row["server_round"] > 2]
    assert any(row["attacking"] for row in warm_clients)
    assert any(row["clip_coefficient"] < 1 for row in warm_clients)
    assert all(np.array_equal(warm_model[name], model[name]) for name in model)


def test_otherwise_rounds_are_counted_from_one(two_clean_rounds):
    began = ["start=file", f"start.path={two_clean_rounds}"]
    rows, clients, _ = played(configured(*CLIPPED, "num_rounds=1", *began))
    assert [row["server_round"] for row in rows] == [0, 1]
    assert {row["server_round"] for row in clients} == {1}
    fresh, _, _ = played(configured(*CLIPPED, "num_rounds=1"))
    assert rows[0]["test_loss"] < fresh[0]["test_loss"]


def test_nodes_on_other_machines_train_the_same_model(two_clean_rounds):
    began = ("start=file", f"start.path={two_clean_rounds}", "start.after_round=2", "num_rounds=3")
    _, _, here = played(configured(*CLIPPED, *began))
    _, _, there = played(configured(*CLIPPED, *began, *DEPLOYED))
    assert all(np.array_equal(there[name], here[name]) for name in here)


def test_a_file_counts_by_its_bytes_wherever_it_lies(two_clean_rounds, tmp_path):
    copy, other = tmp_path / "copy.safetensors", tmp_path / "other.safetensors"
    copy.write_bytes(two_clean_rounds.read_bytes())
    save_file({name: array + 1 for name, array in load_file(copy).items()}, other)
    named = [_keys(f"start.path={file}") for file in (two_clean_rounds, copy, other)]
    assert named[0] == named[1]
    assert all(one != another for one, another in zip(named[0], named[2], strict=True))
    assert _keys(f"start.path={copy}", "start.after_round=1") != named[0]
    assert _keys(f"start.path={copy}", "start.strict=false") == named[0]


def _keys(*overrides):
    """Return the name of a sweep's folder, the key of the run and that of its clean baseline."""
    [plain] = composed([*SMALL, "start=file", *overrides])
    named = {"hydra": {"name": "${experiment_key:}"}}
    config = looked_at("start=file", *overrides)
    return (
        OmegaConf.create({**plain, **named}).hydra.name,
        experiment_key(config.to_dict()),
        clean_key(config),
    )


def test_a_run_goes_on_only_from_the_same_start(two_clean_rounds, tmp_path):
    began = ("start=file", f"start.path={two_clean_rounds}")
    RunFolder(tmp_path).start(looked_at(*began).to_dict(), [])
    resume.check_same_settings(looked_at(*began), tmp_path)
    with pytest.raises(
        Exception, match=r"holds a run with start.after_round = 0, not 1: it goes on only with"
    ):
        resume.check_same_settings(looked_at(*began, "start.after_round=1"), tmp_path)


def test_clients_are_not_told_of_files_of_the_server(two_clean_rounds):
    config = looked_at("start=file", f"start.path={two_clean_rounds}", "start.after_round=1")
    assert json.loads(for_clients(config))["start"] == {"name": "fresh"}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["start.path=nowhere.pt"], "start.path = nowhere.pt: cannot be read: No such file or directory"),
        ([], "start.path = None: must be a valid string"),
        (
            ["start.after_round=2"],
            "num_rounds = 2: is the number of the last round: it starts from the model of "
            "round 2, must be at least 3",
        ),
        ([f"start.sha256={'0' * 64}"], f"start.sha256 = {'0' * 64}: "),
        (["model._target_=tests.odd_models.Flat"], "start.path = "),
        (["+start.rounds=3"], "start.rounds = 3: no such setting"),
    ],
)
def test_a_wrong_start_is_one_line_before_any_work(two_clean_rounds, overrides, message):
    path = [] if message.startswith("start.path = N") else [f"start.path={two_clean_rounds}"]
    with pytest.raises(ConfigError) as error:
        ready(parse_whole(next(composed([*SMALL, "start=file", *path, *overrides])))[0])
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_what_is_left_to_the_seed_is_said(two_clean_rounds, tmp_path):
    tensors = load_file(two_clean_rounds)
    left_out = min(tensors)
    del tensors[left_out]
    save_file(tensors, tmp_path / "part.safetensors")
    choice = ("start=file", f"start.path={tmp_path / 'part.safetensors'}", "start.strict=false")
    checked = ready(configured(*choice))
    assert checked.notices == [f"start: {left_out} of the model stay as the seed draws them"]


def test_the_summary_says_what_a_run_starts_from(two_clean_rounds):
    config = looked_at("start=file", f"start.path={two_clean_rounds}", "start.after_round=1")
    found = start.recorded(config)
    assert found["name"] == "file"
    assert found["rounds_before"] == 1
    assert len(found["sha256"]) == 64
    assert start.recorded(looked_at()) is None


def ended(folder, model="model.safetensors", **summary):
    """A run's folder as one that ended leaves it, as far as another one looks at it."""
    folder.mkdir(exist_ok=True)
    (folder / "summary.json").write_text(json.dumps({"rounds_finished": 7, **summary}))
    save_file({"weight": np.ones(len(model), np.float32)}, folder / model)
    return f"start.folder={folder}"


def test_a_run_is_started_from_by_its_last_or_its_best_model(tmp_path):
    best = {"best": {"main_task_accuracy": {"value": 0.6, "server_round": 5}}}
    folder = ended(tmp_path / "run", **best)
    last = looked_at("start=run", folder, "num_rounds=9", "start.count_on=true")
    assert list(last.rounds) == [8, 9]
    with pytest.raises(ConfigError, match=r"^start\.model = best: .* has not kept it: that needs keep_best"):
        looked_at("start=run", folder, "start.model=best")
    ended(tmp_path / "run", "best_model.safetensors", **best)
    found = looked_at("start=run", folder, "num_rounds=9", "start.count_on=true", "start.model=best")
    assert list(found.rounds) == [6, 7, 8, 9]
    assert found.start.sha256 != last.start.sha256
    assert list(looked_at("start=run", folder, "start.model=best").rounds) == [1, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda run: (run / "summary.json").unlink(),
            "holds no run that has ended: there is no summary.json",
        ),
        (lambda run: (run / "model.safetensors").unlink(), "has no model.safetensors: that run ended before"),
        (
            lambda run: (run / "summary.json").write_text("{}"),
            "its summary.json does not say rounds_finished",
        ),
        (
            lambda run: None,
            "num_rounds = 7: is the number of the last round: it starts from the model of round",
        ),
    ],
)
def test_a_folder_that_cannot_be_started_from_is_one_line(tmp_path, change, message):
    choice = ended(tmp_path / "run")
    change(tmp_path / "run")
    with pytest.raises(ConfigError) as error:
        looked_at("start=run", choice, "start.count_on=true", "num_rounds=7")
    assert str(error.value).removeprefix(f"start.folder = {tmp_path / 'run'}: ").startswith(message)


def test_a_model_that_a_run_left_is_put_into_the_next(two_clean_rounds, tmp_path):
    ended(tmp_path)
    shutil.copy(two_clean_rounds, tmp_path / "model.safetensors")
    config = looked_at(*FEW, "start=run", f"start.folder={tmp_path}")
    model = ExperimentContext(config).model
    assert start.begin(config, model) == []
    for name, array in load_file(two_clean_rounds).items():
        assert np.array_equal(model.state_dict()[name].numpy(), array), name
