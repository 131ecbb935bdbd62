"""Several runs at a time on one machine, each in a process of its own, all on one Ray.

The machine's cores and GPUs are shared out evenly: together the processes have as many workers as one run
would have alone. A process serves one run after the other, so that only the first of each pays for its start.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

from fl_backdoor.config.schema import ExperimentConfig
from fl_backdoor.core.errors import ConfigError, FlBackdoorError
from fl_backdoor.core.interruptible import LOOK_SECONDS
from fl_backdoor.engine.shared_ray import SharedRay
from fl_backdoor.engine.simulation import LOCAL, PRELOADED, resources
from fl_backdoor.runner import clean_start
from fl_backdoor.runner.display.background import Background
from fl_backdoor.runner.display.live import Display
from fl_backdoor.runner.display.redirect import Redirect
from fl_backdoor.runner.job import Job, collect
from fl_backdoor.runner.planned_run import PlannedRun
from fl_backdoor.runner.reporting import Reporting
from fl_backdoor.runner.worker_process import Done, Line, Orders, WorkerProcess
from fl_backdoor.runs import clean_baseline
from fl_backdoor.runs.environment import usable_cores

if TYPE_CHECKING:
    from fl_backdoor.engine.local_ray import LocalRay

SECONDS_TO_STOP = 60
"""How long runs have to write what there is when they are interrupted."""

LOG_NAME = "processes.log"


class RayDidNotStart(FlBackdoorError):  # noqa: N818 - what happened, and no more
    """There is no Ray for several processes to share; runs that were begun on an earlier one can go on."""


class SideBySide:
    """Works off jobs in several processes; close it in any case.

    Parameters
    ----------
    display, redirect
        What the user sees, and where everything else goes.
    num_jobs
        How many runs go on at a time.

    Raises
    ------
    ConfigError
        If there are fewer cores than runs.
    """

    def __init__(self, display: Display, redirect: Redirect, num_jobs: int) -> None:
        cores = usable_cores()
        if num_jobs > cores:
            raise ConfigError(
                "jobs", num_jobs, f"must be at most {cores}, the cores that this process may use"
            )
        self.display = display
        self.redirect = redirect
        self.num_jobs = num_jobs
        self.reporting = Reporting(display, redirect)
        self.background = Background(self.reporting)
        # It must outlive Ray, whose processes Linux ends with the thread that started them.
        self._ray_thread = ThreadPoolExecutor(1, "ray")
        self._ray: Future[LocalRay | None] | None = None
        self._workers: list[WorkerProcess] = []
        self._tasks: dict[WorkerProcess, _Task] = {}
        self._num_left = 0

    def start(self, config: ExperimentConfig) -> None:
        """Start Ray and the processes; it takes a while, and nobody need wait for it."""
        if self._ray is None:
            self._workers = [WorkerProcess() for _ in range(self.num_jobs)]
            self._ray = self._ray_thread.submit(self._started_ray, config)

    def work(self, jobs: Sequence[Job]) -> None:
        """Make all runs; one that fails is reported and leaves the others alone.

        Raises
        ------
        KeyboardInterrupt
            If the user interrupts; the runs have written what there was.
        RayDidNotStart
            If it did not.
        """
        if not jobs:
            return
        self.start(jobs[0].config)
        self._give_orders(jobs[0])
        waiting = [_Task(job, name) for job, name in zip(jobs, short_names(jobs), strict=True)]
        self._num_left = len(jobs)
        try:
            while waiting or self._under_way():
                self._hand_out(waiting)
                self._hear()
                if self._ray_has_died():
                    waiting[:0] = self._stopped_by_its_death()
                    if waiting:
                        self.start(jobs[0].config)
                        self._give_orders(jobs[0])
        except KeyboardInterrupt:
            for task in self._interrupted():
                self._tell_end(task)
            raise

    def close(self) -> None:
        """End the processes and Ray, and finish the figures."""
        self._end_processes()
        self._ray_thread.shutdown()
        self.background.close()

    def abandon(self) -> None:
        """Do the same: interrupted processes have nothing left to wait for."""
        self.close()

    def _started_ray(self, config: ExperimentConfig) -> "LocalRay | None":
        if config.engine.address != LOCAL:
            return None
        from fl_backdoor.engine.local_ray import LocalRay

        return LocalRay(self.num_jobs * resources(config, self.num_jobs).num_workers, PRELOADED)

    def _end_processes(self) -> None:
        for worker in self._workers:
            worker.end(SECONDS_TO_STOP)
        self._workers = []
        if self._ray is not None and self._ray.exception() is None and (ray := self._ray.result()):
            ray.stop()
        self._ray = None

    def _ray_has_died(self) -> bool:
        """Return whether the Ray that was started here has; one that is elsewhere each run watches itself."""
        assert self._ray is not None
        ray = self._ray.result()
        return ray is not None and ray.has_died

    def _stopped_by_its_death(self) -> list["_Task"]:
        """End the runs that are under way, and return those that are to go on with another Ray."""
        self.display.notice(
            "Ray has died: it is started again, and the runs go on after their last finished round"
        )
        go_on = []
        for task in self._interrupted():
            if task.lost_a_ray:
                # What has killed two of them would kill the third.
                self.reporting.fail(f"Ray has died twice under {task.name}; {task.how_to_go_on}")
                self._tell_end(task)
            else:
                go_on.append(replace(task, lost_a_ray=True))
        # A process that has lost its Ray may be ended by it at any moment.
        for worker in self._workers:
            worker.interrupt()
        self._end_processes()
        return go_on

    def _give_orders(self, first: Job) -> None:
        assert self._ray is not None
        log = (first.sweep_folder or first.folder) / LOG_NAME
        self.redirect.send_to(log)
        try:
            ray = self._ray.result()
        except Exception as error:
            logging.getLogger("fl_backdoor").exception("Ray did not start")
            why = f"{type(error).__name__}: {error}".splitlines()[0]
            raise RayDidNotStart(f"jobs = {self.num_jobs}: Ray did not start ({why}; see {log})") from error
        shared = SharedRay(first.config.engine.address if ray is None else ray.address, self.num_jobs)
        self._orders = Orders(shared, log)
        for worker in self._workers:
            if not worker.has_orders:
                worker.begin(self._orders)

    def _under_way(self) -> dict[Connection, WorkerProcess]:
        return {worker.connection: worker for worker in self._tasks}

    def _hand_out(self, waiting: list["_Task"]) -> None:
        """Give each process that has nothing to do a run that need not wait for another one."""
        for worker in self._workers:
            ready = [task for task in waiting if not self._waits(task)]
            if worker not in self._tasks and ready:
                waiting.remove(ready[0])
                self._tasks[worker] = ready[0]
                worker.take(ready[0].job)

    def _waits(self, task: "_Task") -> bool:
        """Return whether another run is making what this one needs of a clean model."""
        return self._waits_for_start(task) or self._waits_for_baseline(task)

    def _waits_for_start(self, task: "_Task") -> bool:
        """Return whether another run is making the clean model that this one starts from."""
        folder = task.planned.clean_start
        if folder is None or all(other.planned.clean_start != folder for other in self._tasks.values()):
            return False
        return not clean_start.is_made(folder)

    def _waits_for_baseline(self, task: "_Task") -> bool:
        """Return whether another run is making the clean model whose figures stand beside this one's."""
        if not any(
            other.makes_clean_model and other.planned.clean_key == task.planned.clean_key
            for other in self._tasks.values()
        ):
            return False
        return clean_baseline.lookup(task.planned.baselines, task.planned.clean_key) is None

    def _hear(self) -> None:
        """Wait a while for something to be told, and pass it on."""
        under_way = self._under_way()
        for connection in wait(list(under_way), LOOK_SECONDS):
            assert isinstance(connection, Connection)
            worker = under_way[connection]
            # Where Ray ends, it may take a process along: that run goes on with all others.
            if self._is_gone(worker) and not self._ray_has_died():
                self._replace(worker, self._tasks[worker])

    def _is_gone(self, worker: WorkerProcess) -> bool:
        """Pass on what a process says next; return whether there is nothing, because it has ended."""
        task = self._tasks[worker]
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            return True
        if isinstance(message, Line):
            self.display.line(f"[{task.name}] {message.text}")
        elif isinstance(message, Done):
            self.reporting.failed |= message.failed
            self._ended(worker, task)
        return False

    def _replace(self, worker: WorkerProcess, task: "_Task") -> None:
        """Start another process in the place of one that died."""
        worker.end(seconds=0)
        self._workers[self._workers.index(worker)] = new = WorkerProcess()
        new.begin(self._orders)
        self.reporting.fail(f"the process of {task.name} died; {task.how_to_go_on}")
        self._ended(worker, task)

    def _ended(self, worker: WorkerProcess, task: "_Task") -> None:
        del self._tasks[worker]
        self._tell_end(task)

    def _tell_end(self, task: "_Task") -> None:
        self._num_left -= 1
        self.display.line(f"[{task.name}] ended; {self._num_left} left")
        if task.job.sweep_folder is not None:
            self.background.do(collect, task.job.sweep_folder)

    def _interrupted(self) -> Iterator["_Task"]:
        """Have all runs end, tell what they still have to say, and yield each that was cut off."""
        for worker in self._tasks:
            worker.interrupt()
        deadline = time.monotonic() + SECONDS_TO_STOP
        while self._tasks and time.monotonic() < deadline:
            under_way = self._under_way()
            for connection in wait(list(under_way), timeout=1):
                assert isinstance(connection, Connection)
                worker = under_way[connection]
                if self._is_gone(worker):
                    yield self._tasks.pop(worker)
        for worker in list(self._tasks):
            worker.end(seconds=0)
            yield self._tasks.pop(worker)


@dataclass(frozen=True, eq=False)
class _Task:
    """A job, what the user knows it by, and whether the Ray that it was begun on has died."""

    job: Job
    name: str
    lost_a_ray: bool = False

    @cached_property
    def planned(self) -> PlannedRun:
        """What says which clean model's figures stand beside this run's."""
        return PlannedRun.of(self.job.ready())

    @property
    def how_to_go_on(self) -> str:
        """What to do about a run that was cut off."""
        return f"resume={self.job.sweep_folder} goes on with it"

    @property
    def makes_clean_model(self) -> bool:
        """Whether this run trains it, unless it is there already."""
        return self.job.config.clean_baseline == "run" or not self.job.config.attacks


def short_names(jobs: Sequence[Job]) -> list[str]:
    """Return for each job what its command line has beyond that of all others; with one job all of it."""
    common = set.intersection(*(set(job.overrides) for job in jobs)) if len(jobs) > 1 else set()
    return [
        " ".join(override for override in job.overrides if override not in common) or job.folder.name
        for job in jobs
    ]
