"""W&B's offline file is read back without W&B's reader: LevelDB's log of records in blocks of 32 KiB."""

import json
import os
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from wandb.proto.wandb_internal_pb2 import Record

from fl_backdoor.runner.tracking.base import figures
from fl_backdoor.runner.tracking.wandb import WandB, nested
from tests.runner.tracking.conftest import SETTINGS

REPOSITORY = Path(__file__).parents[3]
BLOCK, HEADER = 32 * 1024, 7
WHOLE, FIRST, LAST = 1, 2, 4


def records(file):
    """Return W&B's records, once its own process has written the last one."""
    patience = time.monotonic() + 60
    while not (found := list(written(file))) or not found[-1].HasField("exit"):
        assert time.monotonic() < patience
        time.sleep(0.05)
    return found


def written(file):
    """Yield the whole records in a file; its first block begins with what it is, padding ends each."""
    content = file.read_bytes()
    position, parts = HEADER, b""
    while position + HEADER <= len(content):
        left = BLOCK - position % BLOCK
        if left < HEADER:
            position += left
            continue
        length, kind = struct.unpack_from("<HB", content, position + 4)
        part = content[position + HEADER : position + HEADER + length]
        position += HEADER + length
        if position > len(content):
            return
        parts = part if kind in {WHOLE, FIRST} else parts + part
        if kind in {WHOLE, LAST}:
            yield Record.FromString(parts)


def offline_files(run):
    return sorted(run.folder.glob("wandb/offline-run-*/run-*.wandb"))


def follow(run, rows, status="finished"):
    tracker = WandB()
    tracker.start(run)
    for row in rows:
        tracker.round_finished(row["server_round"], figures(row))
    tracker.finish(status)


def history(file):
    """Return W&B's history by column and step, without its own columns."""
    found = {}
    for record in records(file):
        if record.HasField("history"):
            items = {".".join(i.nested_key) or i.key: json.loads(i.value_json) for i in record.history.item}
            for name, value in items.items():
                if not name.startswith("_"):
                    found.setdefault(name, {})[items["_step"]] = value
    return found


def said(file, field):
    return [getattr(record, field) for record in records(file) if record.HasField(field)]


def test_history_is_the_table_to_the_last_digit(tracked, rows, tracked_rows):
    run = tracked()
    follow(run, rows)
    [file] = offline_files(run)
    assert history(file) == tracked_rows
    [exit_record] = said(file, "exit")
    assert exit_record.exit_code == 0


def test_settings_tags_files_and_the_end(tracked, rows):
    run = tracked()
    for name in ("summary.json", "samples.png", "model.safetensors"):
        (run.folder / name).write_text(name)
    follow(run, rows, "diverged")
    [file] = offline_files(run)
    begun = said(file, "run")[-1]
    config = {item.key: json.loads(item.value_json) for item in begun.config.update}
    assert config["attack"] == {"alpha": 0.052, "last_round": None}
    assert config["strategy"] == {"_target_": "strategies.FedAvg", "cautious": True}
    assert (config["seed"], config["num_rounds"], config["dataset"]) == (7, 3, {"layout": "[1, 2]"})
    assert (begun.project, begun.run_group, begun.display_name) == ("fl_backdoor", "sweep", "0_fedavg")
    assert begun.notes == run.title
    assert begun.run_id.startswith(f"{run.key}-")
    [exit_record] = said(file, "exit")
    assert exit_record.exit_code == 1
    summary = {item.key: item.value_json for part in said(file, "summary") for item in part.update}
    assert summary["status"] == '"diverged"'
    copies = {path.name for path in (file.parent / "files").iterdir() if path.suffix in {".json", ".png"}}
    assert {"summary.json", "samples.png"} <= copies
    assert not list(run.folder.rglob("files/*.safetensors"))


def test_a_run_that_was_cut_off_goes_on_in_the_same_run(tracked, rows, tracked_rows):
    """All rounds are told again: the second file is whole without the first."""
    follow(tracked(), rows[:2], "stopped")
    follow(tracked(), rows)
    first, second = offline_files(tracked())
    ids = {said(file, "run")[0].run_id for file in (first, second)}
    assert ids == {json.loads((tracked().folder / "tracking.json").read_text())["run_id"]}
    assert [said(file, "run")[0].resumed for file in (first, second)] == [False, False]
    assert history(second) == tracked_rows


def test_runs_with_the_same_settings_are_two(tracked, rows):
    runs = [tracked(name) for name in ("a", "b")]
    for run in runs:
        follow(run, rows[:1])
    ids = {said(offline_files(run)[0], "run")[0].run_id for run in runs}
    assert len(ids) == 2


FOLLOW = """
import sys
import time
from pathlib import Path
from fl_backdoor.runner.tracking.base import TrackedRun
from fl_backdoor.runner.tracking.wandb import WandB

tracker = WandB(mode=sys.argv[2])
tracker.start(TrackedRun("", Path(sys.argv[1]), {}, "0"))
tracker.round_finished(0, {"main_task_accuracy": 0.1})
tracker.finish("finished")
"""


def test_offline_nothing_is_asked_of_the_network(tmp_path):
    """A listener is W&B's server and everybody's proxy; online it hears of the run at once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "https_proxy", "http_proxy"), address)
        key = {"WANDB_BASE_URL": address, "WANDB_API_KEY": "0" * 40}
        environment = {**os.environ, **proxies, **key}

        def followed(mode):
            command = [sys.executable, "-c", FOLLOW, tmp_path, mode]
            return subprocess.Popen(command, cwd=REPOSITORY, env=environment, stderr=subprocess.PIPE)

        offline = followed("offline")
        assert offline.communicate(timeout=120) == (None, b"")
        assert offline.returncode == 0
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
        listener.settimeout(60)
        online = followed("online")
        try:
            listener.accept()[0].close()
        finally:
            online.kill()
            online.communicate()


def test_whoever_is_not_logged_in_is_told_and_not_asked(tmp_path, tracked, monkeypatch):
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "nobody"))
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    with pytest.raises(PermissionError, match="wandb login, or WANDB_API_KEY"):
        WandB(mode="online").start(tracked())


def test_dotted_keys_are_groups_in_groups():
    assert nested(SETTINGS)["strategy"] == {"_target_": "strategies.FedAvg", "cautious": True}
    assert nested({"a.b.c": 1, "a.d": None, "e": "x"}) == {"a": {"b": {"c": 1}, "d": None}, "e": "x"}
