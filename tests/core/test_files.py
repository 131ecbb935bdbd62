import os
import subprocess
from pathlib import Path

import pytest

from fl_backdoor.core import files
from fl_backdoor.core.errors import FlBackdoorError


def test_a_file_is_replaced_and_no_draft_is_left(tmp_path):
    path = tmp_path / "summary.json"
    path.write_bytes(b"a longer text that stood there before")
    files.replace(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_is_one_line_and_leaves_nothing_behind(tmp_path):
    in_the_way = tmp_path / "summary.json"
    in_the_way.mkdir()
    with pytest.raises(FlBackdoorError, match=r"summary\.json cannot be written: "):
        files.replace(in_the_way, b"new")
    assert list(tmp_path.iterdir()) == [in_the_way]


def test_append_adds_to_the_end(tmp_path):
    path = tmp_path / "rounds.csv"
    files.append(path, b"1\n")
    files.append(path, b"2\n")
    assert path.read_bytes() == b"1\n2\n"


def test_append_where_there_is_no_folder_is_one_line(tmp_path):
    with pytest.raises(FlBackdoorError, match="cannot be written: No such file"):
        files.append(tmp_path / "none" / "rounds.csv", b"1\n")


def test_drafts_of_dead_processes_are_removed_and_those_of_others_are_left(tmp_path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    left = [f".summary.json.{os.getpid()}.tmp", ".summary.json.tmp", ".notes.mine.tmp", f"a.{dead.pid}.tmp"]
    for name in (*left, f".accuracy_and_success.png.{dead.pid}.tmp", f".a.b.{10**30}.tmp"):
        (tmp_path / name).write_bytes(b"half")
    files.remove_drafts(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(left)
    files.remove_drafts(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["new", "new/in/new", ".", "link"])
def test_nothing_is_in_the_way_of_a_new_folder_and_nothing_is_left(tmp_path, name):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    before = set(tmp_path.rglob("*"))
    assert files.obstacle(tmp_path / name) is None
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("file", "file is no folder"),
        ("file/in/it", "file is no folder"),
        ("dangling", "dangling is a link that leads nowhere"),
        ("dangling/in/it", "dangling is a link that leads nowhere"),
        ("ring/in/it", "ring is a link that leads nowhere"),
        ("n" * 260, "a name in it has more than 255 bytes"),
        (f"new/{'ä' * 130}/new", "a name in it has more than 255 bytes"),
        ("new/" * 1100, "File name too long"),
        ("zero\0", "embedded null byte"),
    ],
)
def test_what_is_in_the_way_of_a_new_folder(tmp_path, name, why):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "ring").symlink_to("ring")
    assert files.obstacle(tmp_path / name).removeprefix(f"{tmp_path}/") == why


def test_a_place_that_takes_no_files_is_in_the_way():
    assert files.obstacle(Path("/proc/new")) is not None
