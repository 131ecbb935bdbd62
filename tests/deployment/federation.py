"""A SuperLink, nodes and runs as the processes that they are, on one host or on several."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from fl_backdoor.engine.deployment import authority
from fl_backdoor.engine.deployment.instructions import superlink_flags
from tests.deployment.hosts import HERE, Host
from tests.deployment.superlinks import QUIET, SuperLink
from tests.runner.test_main import fill_with_our_names

REPOSITORY = Path(__file__).parents[2]
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # Tests that were started in the background ignore interrupts, and so would what they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)

PATIENCE_SECONDS = 180
"""Nobody waits longer for anything; it is no limit that a working machine comes near."""

SMALL = (
    *("dataset=mnist5k", "partition.num_clients=4", "attack.num_malicious=1", "attack.alpha=0.3"),
    *("strategy=hybrid", "client.local_steps=3", "num_rounds=3", "precision=fp32"),
)
"""A run of seconds; its attacker is `MALICIOUS`."""

MALICIOUS = 0


@dataclass(frozen=True)
class Security:
    """What SuperLink, nodes and runs are told of certificates and keys.

    Parameters
    ----------
    superlink, run
        Flags of the SuperLink, settings of a run.
    node
        From a client id to the flags of its node.
    """

    superlink: tuple[str, ...] = ("--insecure", "--isolation", "process")
    run: tuple[str, ...] = ("engine.insecure=anywhere",)
    node: Callable[[int], tuple[str, ...]] = lambda client_id: ("--insecure", "anywhere")


def secured(certs: Path, server: Host) -> Security:
    """Make certificates and keys for four nodes, and return what is told of them."""
    authority.create(certs, [server.address], num_nodes=4, days=2)
    root = str(certs / authority.AUTHORITY)
    return Security(
        superlink=tuple(superlink_flags(certs)),
        run=(f"engine.root_certificates={root}", f"engine.secret={certs / authority.SUPEREXEC_SECRET}"),
        node=lambda client_id: ("--root-certificates", root, "--key", str(certs / f"node-{client_id}")),
    )


class Process:
    """A process of its own session, with its output in a file.

    Parameters
    ----------
    host
        Where it runs.
    command
        What.
    log
        Its output; what is there already stays.
    """

    def __init__(self, host: Host, command: Sequence[str], log: Path) -> None:
        self.log = log
        home = log.parent / "home"
        home.mkdir(exist_ok=True)
        environment = os.environ | QUIET | {"HOME": str(home), "PYTHONPATH": str(REPOSITORY)}
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*host.prefix, *command],
                cwd=log.parent,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def said(self) -> str:
        """Return its output so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_until(self, pattern: str, count: int = 1) -> None:
        """Return once its output has `count` matches of `pattern`."""
        ends = time.monotonic() + PATIENCE_SECONDS
        while len(re.findall(pattern, self.said())) < count:
            if not self.is_running or time.monotonic() > ends:
                raise AssertionError(f"{count} x {pattern!r} was not said:\n{self.said()[-3000:]}")
            time.sleep(0.05)

    def wait(self) -> int:
        """Return its exit status."""
        return self._process.wait(PATIENCE_SECONDS)

    def signal(self, number: int) -> None:
        """Send a signal to it and all its children."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """``kill -9`` of it and all its children."""
        self.signal(signal.SIGKILL)
        self._process.wait()


@dataclass
class Federation:
    """A SuperLink and its nodes; a context manager that ends them all.

    Parameters
    ----------
    folder
        Logs, databases and run folders.
    security
        Certificates and keys.
    server
        The SuperLink's host; runs are started there as well.
    node_hosts
        By client id; others live on `server`.
    options
        Further flags of the SuperLink.
    """

    folder: Path
    security: Security = field(default_factory=Security)
    server: Host = HERE
    node_hosts: dict[int, Host] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    nodes: dict[int, Process] = field(default_factory=dict)
    runs: list[Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        flags = (*self.security.superlink, *self.options)
        self.superlink = SuperLink(
            flags, self.folder / "superlink", host=self.server.address, prefix=self.server.prefix
        )

    def __enter__(self) -> Self:
        self.superlink.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in (*self.runs, *self.nodes.values()):
            process.kill()
        self.superlink.stop()

    def start_node(self, client_id: int, *flags: str) -> Process:
        """Start the node of a client; `MALICIOUS` is told to attack."""
        command = [sys.executable, "-m", "fl_backdoor", "node", "--superlink", self.superlink.address]
        command += ["--partition", str(client_id), *self.security.node(client_id), *flags]
        if client_id == MALICIOUS:
            command.append("--malicious")
        host = self.node_hosts.get(client_id, self.server)
        process = Process(host, command, self._log(f"node-{client_id}"))
        self.nodes[client_id] = process
        return process

    def start_nodes(self, client_ids: Sequence[int] = range(4)) -> None:
        """Start several, and wait until all have joined."""
        for client_id in client_ids:
            self.start_node(client_id)
        for client_id in client_ids:
            self.nodes[client_id].wait_until("joined")

    def start_run(self, name: str, *settings: str) -> Process:
        """Start a run into the folder `name`, and return at once."""
        command = [sys.executable, "-m", "fl_backdoor.main", "engine=deployment"]
        command += [f"engine.address={self.superlink.address}", *self.security.run]
        command += [*SMALL, f"hydra.run.dir={self.folder / name}", *settings]
        process = Process(self.server, command, self._log(name))
        self.runs.append(process)
        return process

    def run(self, name: str, *settings: str) -> Path:
        """Make a run, and return its folder."""
        process = self.start_run(name, *settings)
        status = process.wait()
        assert status == 0, process.said()
        return self.folder / name

    def _log(self, name: str) -> Path:
        place = self.folder / "processes" / name
        place.mkdir(parents=True, exist_ok=True)
        fill_with_our_names(place)
        return place / "output.log"
