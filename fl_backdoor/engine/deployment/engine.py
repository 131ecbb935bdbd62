"""Clients on SuperNodes: runs are submitted to a SuperLink, and followed from here."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

from fl_backdoor.config.schema import DeploymentConfig
from fl_backdoor.core.interruptible import wait_for

if TYPE_CHECKING:
    from flwr.serverapp import Grid

    from fl_backdoor.federation.grid import StoppableGrid

    Job = Callable[[StoppableGrid], None]


class OnGrid:
    """Runs experiments on nodes that somebody else has opened the way to, as ``flwr run`` does.

    Parameters
    ----------
    grid
        Flower's.
    wanted
        How many nodes are waited for.
    tell
        Told who joins and leaves.
    """

    def __init__(self, grid: "Grid", wanted: DeploymentConfig, tell: Callable[[str], None]) -> None:
        self.wanted = wanted
        self._grid = grid
        self._tell = tell

    @property
    def has_died(self) -> bool:
        """Whether another one is needed: never, nodes that are away come back."""
        return False

    def run(self, job: "Job") -> None:
        """Do `job`."""
        from fl_backdoor.engine.deployment.grid import DeployedGrid

        job(DeployedGrid(self._grid, threading.Event(), self.wanted.min_clients, self._tell))

    def close(self) -> None:
        """Do nothing: who has opened the way closes it."""

    def abandon(self) -> None:
        """Do nothing either."""


class Deployment:
    """Runs experiments on the nodes of a SuperLink, one after the other.

    Parameters
    ----------
    wanted
        Where the SuperLink is, and how many of its nodes are waited for.
    tell
        Told who joins and leaves, and when the SuperLink is away.
    """

    def __init__(self, wanted: DeploymentConfig, tell: Callable[[str], None]) -> None:
        self.wanted = wanted
        self._tell = tell
        self._stop = threading.Event()

    @property
    def has_died(self) -> bool:
        """Whether another one is needed: never, each run has a task of its own at the SuperLink."""
        return False

    def run(self, job: "Job") -> None:
        """Submit a run, do `job` as its server app, and wait for it.

        An interrupt asks the job to end, waits until it has written what there is, and is raised then.

        Raises
        ------
        FlBackdoorError
            If the SuperLink cannot be used.
        """
        done: Future[None] = Future()
        threading.Thread(target=self._work, args=(job, done), name="server app", daemon=True).start()
        wait_for(done, self._stop)

    def close(self) -> None:
        """Do nothing: nothing outlives a run."""

    def abandon(self) -> None:
        """Do nothing either: nodes are not ours to end."""

    def _work(self, job: "Job", done: "Future[None]") -> None:
        try:
            self._run(job)
            done.set_result(None)
        except BaseException as error:  # handed to the thread that waits
            done.set_exception(error)

    def _run(self, job: "Job") -> None:
        from fl_backdoor.engine.deployment.address import WITHOUT_TLS, read_secret, superlink_address
        from fl_backdoor.engine.deployment.grid import DeployedGrid
        from fl_backdoor.engine.deployment.key_files import exposed
        from fl_backdoor.engine.deployment.submitted_run import SubmittedRun

        wanted = self.wanted
        superlink = superlink_address(wanted.address, wanted.root_certificates, wanted.insecure)
        if wanted.insecure == "anywhere":
            self._tell(f"NOTICE: {WITHOUT_TLS}")
        for warning in exposed(wanted.secret):
            self._tell(warning)
        with SubmittedRun(superlink, read_secret(wanted.secret), self._stop, self._tell) as run:
            job(DeployedGrid(run.grid, self._stop, wanted.min_clients, self._tell))
