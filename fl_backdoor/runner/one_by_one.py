"""Works off jobs in this process, one after the other."""

from collections.abc import Sequence
from pathlib import Path

from fl_backdoor.config.schema import ExperimentConfig
from fl_backdoor.engine.shared_ray import SharedRay
from fl_backdoor.runner.display.background import Background
from fl_backdoor.runner.display.live import Display
from fl_backdoor.runner.display.redirect import Streams
from fl_backdoor.runner.job import Job
from fl_backdoor.runner.reporting import Reporting
from fl_backdoor.runner.session import Session


class Runner:
    """A session and the figures drawn beside it; close it in any case.

    Parameters
    ----------
    display, streams
        What the user sees, and where everything else goes.
    shared
        The Ray that several processes share; None: one of its own.
    """

    def __init__(self, display: Display, streams: Streams, shared: SharedRay | None = None) -> None:
        self.reporting = Reporting(display, streams)
        self.background = Background(self.reporting)
        self.session = Session(display, streams, self.background, shared)

    def start(self, config: ExperimentConfig) -> None:
        """Start what runs like `config` need; it takes a while, and nobody need wait for it."""
        self.session.start(config)

    def work(self, jobs: Sequence[Job]) -> None:
        """Make all runs; one that fails is reported and leaves the others alone."""
        for number, job in enumerate(jobs, start=1):
            if len(jobs) > 1:
                self.reporting.display.line(f"run {number} of {len(jobs)}")
            self.run(job)

    def run(self, job: Job) -> None:
        """Make a run, and bring the tables of its sweep up to date."""
        try:
            with self.reporting():
                self.session.run(job.ready(), job.folder, go_on=job.go_on)
        finally:
            if job.sweep_folder is not None:
                self.background.do(collect, job.sweep_folder)

    def close(self) -> None:
        """End the simulation, and finish the figures."""
        self.session.close()
        self.background.close()

    def abandon(self) -> None:
        """Finish the figures and end Ray, but wait for no client; the process must exit next."""
        self.session.abandon()
        self.background.close()


def collect(sweep_folder: Path) -> None:
    """Write the table and the figure of a sweep anew."""
    from fl_backdoor.analysis import sweep

    sweep.collect(sweep_folder)
