import socket

import pytest

from fl_backdoor.core.errors import DataError
from fl_backdoor.data import download as module
from fl_backdoor.data.download import download, unreachable


def test_a_server_that_has_the_file_is_reachable(served):
    folder, url = served
    (folder / "file").touch()
    assert unreachable(f"{url}file") is None


def test_a_missing_file_and_a_closed_port_are_not_reachable(served, closed_url):
    assert "404" in unreachable(f"{served[1]}file")
    reason = unreachable(closed_url)
    assert reason.startswith("127.0.0.1 cannot be reached: ")
    assert "<" not in reason


def test_a_silent_server_is_given_up(monkeypatch):
    monkeypatch.setattr(module, "PROBE_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        reason = unreachable(f"http://127.0.0.1:{silent.getsockname()[1]}/file")
    assert reason.startswith("127.0.0.1 ")


def fetch(folder):
    (folder / "leftover.tar").touch()
    (folder / "images").mkdir()
    (folder / "images" / "new").touch()
    return folder / "images"


def test_only_what_is_wanted_arrives(tmp_path):
    root = tmp_path / "a" / "root"
    download(root, fetch)
    assert [path.relative_to(root).as_posix() for path in sorted(root.rglob("*"))] == ["images", "images/new"]


def test_what_another_process_brought_in_the_meantime_stays(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "old").touch()
    download(tmp_path, fetch)
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def test_failure_is_one_line_and_leaves_nothing(tmp_path):
    def fail(folder):
        (folder / "half").touch()
        raise RuntimeError("File not found\nor corrupted.")

    with pytest.raises(DataError, match=r"^dataset\.root: .*\(File not found or corrupted\.\); try again"):
        download(tmp_path, fail)
    assert list(tmp_path.iterdir()) == []


def test_root_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"^dataset\.root: "):
        download(tmp_path / "file", fetch)
