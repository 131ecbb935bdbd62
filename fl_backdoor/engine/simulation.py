"""Flower's Ray simulation, kept alive for as many experiments as a process runs.

Starting Ray and its actors takes longer than a small experiment. One Flower run therefore serves all of
them: its ServerApp takes jobs from a queue until it is closed. `flwr.simulation.run_simulation` is
deprecated but the only way to start a simulation from Python; it is used here and nowhere else.

Nothing heavy is imported up here: Ray starts in a thread while the main one imports PyTorch and Flower.
"""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache, partial, wraps
from inspect import unwrap
from itertools import chain
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING, Any

from fl_backdoor.config.schema import ExperimentConfig, SimulationConfig
from fl_backdoor.core.errors import FlBackdoorError, NobodyAnswers
from fl_backdoor.core.interruptible import result_of, wait_for
from fl_backdoor.engine.gpu_workers import gpu_workers, share_of_a_gpu
from fl_backdoor.runs.environment import usable_cores

if TYPE_CHECKING:
    from flwr.app import Context
    from flwr.clientapp import ClientApp
    from flwr.serverapp import Grid

    from fl_backdoor.engine.foreign_ray import ForeignRay
    from fl_backdoor.engine.local_ray import LocalRay
    from fl_backdoor.federation.grid import StoppableGrid

POLL_SECONDS = 0.02
GPU_DEVICES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""One of these is there wherever PyTorch finds a GPU: NVIDIA's, AMD's, Windows' under Linux."""

LOCAL = "local"
PRELOADED = ("torch", "fl_backdoor.federation.client_app")
"""What workers import as soon as they are there: it takes as long as all the rest of the start."""

Job = Callable[["StoppableGrid"], None]
Entry = tuple[Job, "Future[None]"]


@dataclass(frozen=True)
class Resources:
    """What Ray is asked for; two experiments with the same resources share one simulation.

    Parameters
    ----------
    num_workers
        Actors, each hosting one of Flower's virtual nodes.
    gpus_per_worker
        Share of a GPU that each may use.
    address
        ``local``, or the address of a running Ray cluster.
    is_watched
        Whether another process of this program has started that one, and sees when it dies.
    """

    num_workers: int
    gpus_per_worker: float
    address: str
    is_watched: bool = False

    def backend(self) -> dict[str, Any]:
        """Return Flower's backend configuration."""
        actors = {
            "num_cpus": 1,
            "num_gpus": self.gpus_per_worker,
            # These two go straight to Ray: otherwise a dead actor returns to Flower's pool and eats messages.
            "max_restarts": -1,
            "max_task_retries": 2,
        }
        # Flower starts no Ray where one runs already, as it does here unless it is elsewhere.
        init = {"address": self.address, "log_to_driver": False, "logging_level": 40}
        return {"init_args": init, "client_resources": actors}


def resources(config: ExperimentConfig, num_jobs: int = 1) -> Resources:
    """Return what each of `num_jobs` experiments that run side by side needs.

    Unset workers are one a core, at most one a participant; on GPUs see `gpu_workers`. Cores and GPUs are
    shared out evenly.
    """
    engine, participants = config.engine, config.participants_per_round
    assert isinstance(engine, SimulationConfig)
    cores = max(1, usable_cores() // num_jobs)
    free = _free_gpu_bytes() if engine.device != "cpu" else []
    num_workers = engine.num_workers or (
        gpu_workers([gpu // num_jobs for gpu in free], cores, participants)
        if free
        else min(cores, participants)
    )
    share = share_of_a_gpu(num_jobs * num_workers, len(free)) if free else 0.0
    return Resources(num_workers, share, engine.address)


class Simulation:
    """A running simulation. Close it in any case: Flower's threads outlive the main one otherwise.

    Parameters
    ----------
    wanted
        Workers, GPUs and Ray's address.
    app
        What the nodes run; None: `fl_backdoor.federation.client_app`.
    """

    def __init__(self, wanted: Resources, app: "ClientApp | None" = None) -> None:
        # It imports itself in circles: two threads at once, Flower's here and Optuna's or MLflow's, break it.
        import sqlalchemy.orm  # noqa: F401

        self.wanted = wanted
        self._client_app = app
        self._jobs: Queue[Entry | None] = Queue()
        self._stop = threading.Event()
        self._ray: Future[LocalRay | ForeignRay | None] = Future()
        self._ended: Future[None] = Future()
        self._thread = threading.Thread(target=self._simulate, name="simulation", daemon=True)
        self._thread.start()

    def run(self, job: Job) -> None:
        """Run `job` inside the ServerApp, and wait for it.

        An interrupt asks the job to end, waits until it has written what there is, and is raised then; so
        does the end of Ray.

        Raises
        ------
        NobodyAnswers
            If Ray has died.
        """
        done: Future[None] = Future()
        self._jobs.put((job, done))
        try:
            wait_for(done, self._stop, self._see_that_it_goes_on)
        except NobodyAnswers as died:
            if done.done():
                raise
            self._stop.set()
            try:
                result_of(done, self._see_that_flower_goes_on)
            except Exception:  # it was stopped, or fell with Ray
                raise died from None

    @property
    def has_died(self) -> bool:
        """Whether Ray has died, so that another simulation is needed."""
        ray = self._ray.result() if self._ray.done() else None
        return ray is not None and ray.has_died

    def close(self) -> None:
        """End the simulation, and the Ray that it started; clients in training are waited for."""
        self._jobs.put(None)
        self._thread.join()

    def abandon(self) -> None:
        """End Ray at once, for a process that exits next: Flower's threads are left where they are."""
        ray = self._ray.result()
        if ray is not None:
            ray.stop()

    def _see_that_it_goes_on(self) -> None:
        if self.has_died:
            raise NobodyAnswers(self._what_has_died)
        self._see_that_flower_goes_on()

    @property
    def _what_has_died(self) -> str:
        address = self.wanted.address
        return "Ray has died" if address == LOCAL else f"the Ray at {address} has lost machines of this run"

    def _see_that_clients_failed_by_themselves(self) -> None:
        """Raise NobodyAnswers where it is Ray that has failed: no client is to lose its place for that."""
        ray = self._ray.result()
        if ray is not None and ray.look():
            raise NobodyAnswers(self._what_has_died)

    def _see_that_flower_goes_on(self) -> None:
        if self._ended.done():
            self._ended.result()
            raise FlBackdoorError("the simulation ended by itself; see the log file")

    def _simulate(self) -> None:
        try:
            self._start_ray()
            try:
                self._run_flower()
            finally:
                self.abandon()
        except BaseException as error:  # handed to the thread that waits
            self._ended.set_exception(error)
        else:
            self._ended.set_result(None)

    def _start_ray(self) -> None:
        try:
            self._ray.set_result(self._started_ray())
        except BaseException as error:
            self._ray.set_exception(error)
            raise

    def _started_ray(self) -> "LocalRay | ForeignRay | None":
        wanted = self.wanted
        if wanted.address == LOCAL:
            from fl_backdoor.engine.local_ray import LocalRay

            return LocalRay(wanted.num_workers, PRELOADED)
        if wanted.is_watched:
            return None
        from fl_backdoor.engine.foreign_ray import ForeignRay

        return ForeignRay(wanted.num_workers, wanted.gpus_per_worker)

    def _run_flower(self) -> None:
        from flwr.serverapp import ServerApp
        from flwr.simulation import run_simulation
        from flwr.simulation.ray_transport import ray_actor
        from ray import cloudpickle

        from fl_backdoor.federation.client_app import app as client_app

        # Workers that look Flower's actor up by its name import the whole of Flower's server for it.
        cloudpickle.register_pickle_by_value(ray_actor)  # type: ignore[no-untyped-call]
        self._leave_room_for_others(ray_actor)
        # Flower talks, and not before the first run does it have a log file to talk to.
        first = self._jobs.get()
        if first is None:
            return
        app = ServerApp()
        app.main()(partial(self._serve, chain([first], iter(self._jobs.get, None))))
        run_simulation(
            server_app=app,
            client_app=self._client_app or client_app,
            num_supernodes=self.wanted.num_workers,
            backend_config=self.wanted.backend(),
        )

    def _leave_room_for_others(self, ray_actor: Any) -> None:  # noqa: ANN401 - one of Flower's modules
        """Have Flower start no more actors than there are workers: it would fill a Ray that others share."""
        capacity = unwrap(ray_actor.pool_size_from_resources)

        @wraps(capacity)
        def at_most_our_workers(asked: dict[str, float]) -> int:
            return min(int(capacity(asked)), self.wanted.num_workers)

        ray_actor.pool_size_from_resources = at_most_our_workers

    def _serve(self, jobs: Iterable[Entry], grid: "Grid", context: "Context") -> None:
        from fl_backdoor.federation.grid import StoppableGrid

        stoppable = StoppableGrid(grid, self._stop, POLL_SECONDS)
        stoppable.on_failure = self._see_that_clients_failed_by_themselves
        for job, done in jobs:
            try:
                stoppable.wait_for_nodes(self.wanted.num_workers)
                done.set_result(job(stoppable))
            except BaseException as error:  # handed to the thread that waits
                done.set_exception(error)


@cache
def _free_gpu_bytes() -> list[int]:
    # Ray's start need not wait for PyTorch's import to say that there is no GPU.
    if not any(Path(device).exists() for device in GPU_DEVICES):
        return []
    # Asked once: the runs that follow find the workers of the first, and are to keep them.
    import torch

    return [torch.cuda.mem_get_info(gpu)[0] for gpu in range(torch.cuda.device_count())]
