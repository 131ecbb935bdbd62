"""What a reader finds after a write that failed half-way."""

import os

import pytest

from fl_backdoor.core import files
from fl_backdoor.core.errors import FlBackdoorError


def full_disk(_descriptor):
    raise OSError(28, "No space left on device")


def test_a_failing_write_leaves_the_old_file_and_no_draft(tmp_path, monkeypatch):
    path = tmp_path / "sweep.csv"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(FlBackdoorError, match=r"sweep\.csv cannot be written: No space left on device"):
        files.replace(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_write_leaves_the_old_file_and_no_draft(tmp_path, monkeypatch):
    def interrupt(_descriptor):
        raise KeyboardInterrupt

    path = tmp_path / "sweep.csv"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        files.replace(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
