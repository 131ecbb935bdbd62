import os
import pwd
import stat
import tempfile
from pathlib import Path

from fl_backdoor.core import home
from fl_backdoor.data.dataset import default_cache


def test_who_has_no_home_gets_one(tmp_path, monkeypatch):
    def unknown(_user):
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setenv("HOME", "set, so that it is put back")
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    home.see_that_there_is_one()
    assert default_cache().is_relative_to(tmp_path)
    assert stat.S_IMODE(Path(os.environ["HOME"]).stat().st_mode) == 0o700
    before = os.environ["HOME"]
    home.see_that_there_is_one()
    assert os.environ["HOME"] == before
