"""Trackers that are no use, for drills."""

import threading
import time
from pathlib import Path

from fl_backdoor.runner.tracking.base import Tracker


class Silent(Tracker):
    """Does nothing."""

    def start(self, run):
        pass

    def round_finished(self, server_round, figures):
        pass

    def finish(self, status):
        pass


class Failing(Silent):
    """Raises at each round, over several lines."""

    def round_finished(self, server_round, figures):
        raise RuntimeError(f"no room\nfor round {server_round}")


class Hanging(Silent):
    """Never comes back from its first call, nor does a thread of its own that would keep a process alive."""

    def start(self, run):
        (run.folder / "hanging").touch()
        threading.Thread(target=time.sleep, args=(3600,)).start()
        time.sleep(3600)


class Missing(Silent):
    """Needs what nobody has."""

    packages = ("no_such_package_anywhere",)
    extra = "nowhere"

    def start(self, run):
        Path("started").touch()
