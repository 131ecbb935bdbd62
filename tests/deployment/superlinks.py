"""Real SuperLinks for tests: a process of its own on a free port, ended in any case."""

import http.client
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

PROGRAM = Path(sys.executable).with_name("flower-superlink")
QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    # Flower's programs start each other by name.
    "PATH": f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}",
}


class SuperLink:
    """`flower-superlink` with the given flags, from `with` until its end.

    Parameters
    ----------
    flags
        Its command line without ``--host`` and ``--port``; ``--insecure`` or the ``--ssl-…`` belong to it.
    folder
        Its home, working directory and log; it outlives the process, so that a second start finds a database.
    host
        The address it listens on.
    port
        Its port, kept over restarts; a free one by default.
    seconds
        How long its start may take.
    prefix
        What stands before its command, to run it on another host.
    """

    def __init__(
        self,
        flags: Sequence[str],
        folder: Path,
        *,
        host: str = "127.0.0.1",
        port: int | None = None,
        seconds: float = 120,
        prefix: Sequence[str] = (),
    ) -> None:
        self.flags = [str(flag) for flag in flags]
        self.folder = folder
        self.host = host
        self.port = port or (8000 if prefix else free_port(host))
        self.seconds = seconds
        self.prefix = tuple(prefix)
        self.log = folder / "superlink.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """``host:port``."""
        return f"{self.host}:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the process and return once it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [*self.prefix, str(PROGRAM), *self.flags, "--host", self.host, "--port", str(self.port)]
        environment = os.environ | QUIET | {"HOME": str(self.folder), "FLWR_HOME": str(self.folder / "flwr")}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def stop(self, seconds: float = 10) -> None:
        """Ask the process to end, and end it and its children if it does not."""
        if self.process is None:
            return
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        self.kill()

    def kill(self) -> None:
        """``kill -9`` of the process and all its children."""
        if self.process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def _wait(self) -> None:
        end = time.monotonic() + self.seconds
        while not self._answers():
            assert self.process is not None
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"no SuperLink on {self.address}: {self.log.read_text()[-2000:]}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        """Whether it says that it is healthy; who it is, is not looked at."""
        if "--insecure" in self.flags:
            connection = http.client.HTTPConnection(self.host, self.port, timeout=5)
        else:
            anyone = ssl._create_unverified_context()
            connection = http.client.HTTPSConnection(self.host, self.port, timeout=5, context=anyone)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that nobody listens on at the moment."""
    with socket.socket() as listener:
        listener.bind((host, 0))
        return int(listener.getsockname()[1])
