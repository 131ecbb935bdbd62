"""What a run folder must hold to go on; whatever is refused is left byte for byte as it was."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest

from fl_backdoor.config.schema import parse_whole
from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.runner import resume
from fl_backdoor.runner.composition import composed
from fl_backdoor.runner.experiment_key import experiment_key
from fl_backdoor.runs import checkpoint
from fl_backdoor.runs.checkpoint import Checkpoint
from fl_backdoor.runs.columns import CLIENT_COLUMNS, ROUND_COLUMNS
from fl_backdoor.runs.run_folder import RunFolder


@pytest.fixture(scope="module")
def config():
    [plain] = composed(["dataset=mnist5k", "precision=fp32"])
    return parse_whole(plain)[0]


def begin(folder, config, num_rounds):
    """Write what a run leaves that was stopped after `num_rounds` rounds."""
    run = RunFolder(folder)
    run.start(config.to_dict(), [])
    run.write_labels(np.ones((2, 2), np.int64), ["a", "b"])
    for server_round in range(num_rounds + 1):
        clients = [
            dict.fromkeys(CLIENT_COLUMNS) | {"server_round": server_round, "client_id": client}
            for client in range(2 if server_round else 0)
        ]
        run.append(dict.fromkeys(ROUND_COLUMNS) | {"server_round": server_round}, clients)
        model = {"w": np.full(3, server_round, np.float32)}
        state = Checkpoint(run.progress(server_round), model, {})
        checkpoint.save(folder, experiment_key(config.to_dict()), state)
    (folder / "summary.json").write_text(json.dumps({"status": "stopped", "rounds_finished": num_rounds}))


@pytest.fixture
def stopped(tmp_path, config):
    begin(tmp_path / "run", config, num_rounds=2)
    return tmp_path / "run"


def test_what_was_stopped_goes_on_from_its_last_round(stopped, config):
    resume.check_can_go_on(config, None, stopped)
    found = resume.cut_off_after(config, None, stopped)
    assert found.progress.server_round == 2
    assert found.progress.files.keys() == {"config.yaml", "labels.csv", "clients.csv", "rounds.csv"}


def content(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def remove(name):
    return lambda folder: (folder / name).unlink()


def cut(name):
    return lambda folder: os.truncate(folder / name, (folder / name).stat().st_size // 2)


def cut_after_a_line(name):
    def spoil(folder):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: content.index(b"\n", len(content) // 2) + 1])

    return spoil


def rewrite(name, text):
    return lambda folder: (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (remove("rounds.csv"), "rounds.csv cannot be read: No such file or directory"),
        (remove("clients.csv"), "clients.csv cannot be read: No such file or directory"),
        (remove("labels.csv"), "labels.csv cannot be read: No such file or directory"),
        (remove("checkpoint/round-2.safetensors"), "round-2.safetensors cannot be read: No such file"),
        (remove("checkpoint/checkpoint.json"), "run has rounds but no checkpoint/"),
        (cut("rounds.csv"), "rounds.csv is damaged"),
        (cut("clients.csv"), "clients.csv is damaged"),
        (cut("labels.csv"), "labels.csv is damaged"),
        (cut("checkpoint/round-2.safetensors"), "round-2.safetensors is damaged"),
        (cut("checkpoint/checkpoint.json"), "checkpoint.json is torn"),
        (cut_after_a_line("config.yaml"), "run holds a run"),
        (rewrite("checkpoint/checkpoint.json", "{}"), "is of format None"),
        (lambda folder: (folder / "config.yaml").open("a").write("# more\n"), "config.yaml is damaged"),
    ],
)
def test_what_cannot_go_on_is_refused_in_one_line_and_not_touched(stopped, config, spoil, message):
    spoil(stopped)
    before = content(stopped)
    with pytest.raises(FlBackdoorError) as refused:
        resume.check_can_go_on(config, None, stopped)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert content(stopped) == before


def test_other_settings_are_named(stopped, config):
    with pytest.raises(FlBackdoorError) as refused:
        resume.check_can_go_on(replace(config, seed=1), None, stopped)
    said = "holds a run with seed = 0, not 1: it goes on only with the settings that it was begun with"
    assert str(refused.value) == f"{stopped} {said}"


def test_what_was_cut_off_before_its_first_checkpoint_is_begun_anew(tmp_path, config):
    run = RunFolder(tmp_path)
    run.start(config.to_dict(), [])
    assert resume.cut_off_after(config, None, tmp_path) is None
    RunFolder(tmp_path).start(config.to_dict(), [], anew=True)


def test_rounds_that_lost_their_table_and_checkpoint_are_not_written_over(stopped, config):
    (stopped / "rounds.csv").unlink()
    (stopped / "checkpoint" / "checkpoint.json").unlink()
    with pytest.raises(FlBackdoorError, match="has rounds but no checkpoint/"):
        resume.check_can_go_on(config, None, stopped)


def test_a_figure_that_was_not_drawn_has_the_title_that_it_would_have_had(tmp_path):
    from fl_backdoor.runs import runs
    from tests.analysis.report.made_runs import write_run

    assert runs.read(write_run(tmp_path / "a", "Krum", 0.052)).title == "CIFAR-10 · Krum · α = 0.052"
