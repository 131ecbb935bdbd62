"""A Ray of this process's own, started without what a simulation has no use for.

`ray.init` also starts a dashboard, an autoscaler and a log monitor, three Python processes whose imports cost
2.5 s of CPU time, and waits for the first of them: 5.5 s instead of 2 on two cores. It cannot be told
otherwise, hence the look behind its interface; Flower asks for one exact release of Ray.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray
from ray._common.utils import get_default_ray_temp_dir
from ray._private.node import Node
from ray._private.parameter import RayParams

from fl_backdoor.core.errors import FlBackdoorError

LONGEST_FOLDER = 43
"""Bytes: the path of a socket has at most 107, of which a session's folder and name take 64."""

SHORT_FOLDERS = ("/tmp/ray", "/var/tmp/ray", "/dev/shm/ray")


class _HeadNode(Node):
    """The processes of a Ray on one machine."""

    def start_api_server(self, **_: object) -> None:
        """Start no dashboard."""


def folder_of_sockets() -> str:
    """Return where Ray's files go: where it puts them by itself, unless that path is too long for sockets."""
    folder = str(get_default_ray_temp_dir())  # type: ignore[no-untyped-call]
    if len(os.fsencode(folder)) <= LONGEST_FOLDER:
        return folder
    for short in SHORT_FOLDERS:
        if os.access(Path(short).parent, os.W_OK | os.X_OK):
            return short
    raise FlBackdoorError(
        f"{folder} is too long a path for Ray's sockets, and {', '.join(SHORT_FOLDERS)} cannot be written; "
        f"set RAY_TMPDIR to a folder of at most {LONGEST_FOLDER - len('/ray')} bytes"
    )


class LocalRay:
    """Ray's processes, this process connected to them; stop it in any case.

    Parameters
    ----------
    num_cpus
        How many workers are started beforehand.
    preloaded
        Modules that workers import before they are asked for anything, while the server still prepares.
    """

    def __init__(self, num_cpus: int, preloaded: Sequence[str]) -> None:
        # Workers find the modules that this process finds.
        os.environ["PYTHONPATH"] = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
        settings: dict[str, Any] = {  # Ray's own annotations of two of these are wrong
            "num_cpus": num_cpus,
            "include_log_monitor": False,
            "no_monitor": True,
            "temp_dir": folder_of_sockets(),
            "_system_config": {"preload_python_modules": list(preloaded)},
        }
        # Should this process be killed, Linux kills those that it started here.
        self._node = _HeadNode(RayParams(**settings), head=True, shutdown_at_exit=False)
        try:
            # Never "auto": that joins any cluster that is recorded on the machine.
            ray.init(address=self._node.gcs_address, log_to_driver=False, logging_level=40)
        except BaseException:
            self.stop()
            raise

    @property
    def address(self) -> str:
        """Where other processes of this machine find it."""
        return str(self._node.gcs_address)

    @property
    def has_died(self) -> bool:
        """Whether any of Ray's processes has ended by itself."""
        return bool(self._node.dead_processes())  # type: ignore[no-untyped-call]

    def look(self) -> bool:
        """Return whether it has died."""
        return self.has_died

    def stop(self) -> None:
        """Disconnect, and end Ray's processes; once is enough."""
        ray.shutdown()
        self._node.kill_all_processes(check_alive=False, allow_graceful=True)  # type: ignore[no-untyped-call]
