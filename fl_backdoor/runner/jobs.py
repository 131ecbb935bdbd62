"""The runs that a command line asks for: Hydra hands them in one by one, then they are worked off.

Hydra's own sweeper hands in all of them before the first one starts, so that models without attackers come
first and stand beside the figures of the others. A sweeper that picks values as it goes, such as Optuna's,
asks for the results of what it has handed in before it hands in more.
"""

import math
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from fl_backdoor.analysis.objective import objective
from fl_backdoor.config.schema import CallConfig, ExperimentConfig, parse_whole
from fl_backdoor.config.start import CleanStart
from fl_backdoor.core import files
from fl_backdoor.core.errors import ConfigError, FlBackdoorError
from fl_backdoor.data.contents import contents_of
from fl_backdoor.runner import resume
from fl_backdoor.runner.checks import Checked, check_heavy, check_light
from fl_backdoor.runner.composition import compositions, is_multirun, runs_elsewhere
from fl_backdoor.runner.display.live import Display
from fl_backdoor.runner.display.progress_line import Patience
from fl_backdoor.runner.display.redirect import Streams
from fl_backdoor.runner.job import Job
from fl_backdoor.runner.one_by_one import Runner
from fl_backdoor.runner.resolvers import plain_values
from fl_backdoor.runner.session import LOG_NAME, baselines
from fl_backdoor.runner.side_by_side import RayDidNotStart, SideBySide
from fl_backdoor.runs.lock import own_folder


class Outcome:
    """What a sweeper gets for a run: a number as soon as it looks at it."""

    def __init__(self, jobs: "Jobs", job: Job, call: CallConfig) -> None:
        self.job = job
        self.call = call
        self._jobs = jobs

    def __float__(self) -> float:
        """Work off what was handed in, and return what this run came to, see `objective`."""
        self._jobs.work()
        return self._jobs.searched(self)


class Jobs:
    """What Hydra calls for each run of a command line; close it in any case.

    Parameters
    ----------
    display, streams
        What the user sees, and where everything else goes.
    """

    def __init__(self, display: Display, streams: Streams) -> None:
        self.display = display
        self.streams = streams
        self._workers: Runner | SideBySide | None = None
        self._waiting: list[Job] = []
        self._searched: list[tuple[float, Outcome]] = []
        self._handed_in = self._patience("ready")
        self._checked: dict[str, Checked] = {}

    @property
    def failed(self) -> bool:
        """Whether any run failed so far."""
        return self._workers is not None and self._workers.reporting.failed

    def prepare(self, arguments: list[str]) -> None:
        """Check every run that the command line asks for, before the first of them starts.

        Raises
        ------
        FlBackdoorError
            If anything is wrong with one of them.
        """
        multirun = is_multirun(arguments)
        asked: list[ExperimentConfig] = []
        for composition in self._patience("composed").over(compositions(arguments)):
            config, call = parse_whole(composition.config, multirun=multirun)
            asked.append(config)
        if not asked:
            return
        if call.resume is not None:
            resume.check_folder(Path(call.resume), multirun=multirun)
        key = "hydra.sweep.dir" if multirun else "hydra.run.dir"
        _check_can_be_written("resume" if call.resume else key, composition.folder)
        if any(_writes_beside_its_folder(config) for config in asked):
            _check_can_be_written("outputs", baselines(config))
        checked = [check_light(config) for config in self._patience("looked at").over(asked)]
        if not runs_elsewhere(arguments):
            # Ray takes about as long to start as PyTorch, which is needed next, to import.
            self._workers_for(call).start(checked[0].config)
        found = [check_heavy(candidate) for candidate in self._patience("checked").over(checked)]
        if call.resume is not None and not multirun:
            config = found[0].config
            resume.check_can_go_on(config, contents_of(config.dataset), Path(call.resume))
        if not runs_elsewhere(arguments):
            from fl_backdoor.runner.rehearsal import rehearsed

            found = [rehearsed(one) for one in self._patience("with a model that works").over(found)]
            self._checked = {one.to_json(): ready for one, ready in zip(asked, found, strict=True)}

    def hand_in(self, whole: DictConfig) -> Outcome:
        """Take one run; it is made when `work` is called, or when somebody looks at its outcome."""
        hydra = HydraConfig.get()
        multirun = hydra.mode == RunMode.MULTIRUN
        config, call = parse_whole(plain_values(whole), multirun=multirun)
        job = Job(
            config=config,
            folder=_folder_of(hydra, call),
            sweep_folder=Path(hydra.sweep.dir) if multirun else None,
            overrides=tuple(hydra.overrides.task),
            go_on=multirun or call.resume is not None,
            checked=self._checked.get(config.to_json()),
        )
        self._workers_for(call)
        self._waiting.append(job)
        self._handed_in.one_more()
        return Outcome(self, job, call)

    def work(self) -> None:
        """Make all runs that wait, those without attackers first."""
        waiting, self._waiting = self._waiting, []
        if self._workers is None:
            return
        ordered = sorted(waiting, key=lambda job: job.config.attacks)
        try:
            self._workers.work(ordered)
        except RayDidNotStart as error:
            self.display.notice(f"{error}; the runs go on one at a time")
            self._workers.close()
            self._workers = Runner(self.display, self.streams)
            self._workers.work(ordered)

    def searched(self, outcome: Outcome) -> float:
        """Return what a finished run came to, and take it down for `tell_best`."""
        call = outcome.call
        found = objective(outcome.job.folder, call.objective, call.detection_bound)
        self._searched.append((found, outcome))
        return found

    def tell_best(self) -> None:
        """Say which run a sweeper that picks values as it goes found best, if there was one."""
        known = [(found, outcome) for found, outcome in self._searched if not math.isnan(found)]
        if not known:
            return
        found, outcome = max(known, key=lambda one: one[0])
        call = outcome.call
        what = f"{call.objective} {100 * found:.1f} %"
        if found < 0 and call.detection_bound is not None:
            what = f"none within detection_bound = {call.detection_bound}, nearest"
        self.display.line(f"best of {len(known)}: {what}: {outcome.job.folder}")

    def close(self) -> None:
        """End all that was started, and finish the figures."""
        if self._workers is not None:
            self._workers.close()

    def abandon(self) -> None:
        """Finish the figures and end Ray, but wait for no client; the process must exit next."""
        if self._workers is not None:
            self._workers.abandon()

    def _patience(self, what: str) -> Patience:
        return Patience(self.display.line, f"runs {what}")

    def _workers_for(self, call: CallConfig) -> "Runner | SideBySide":
        if self._workers is None:
            self._workers = (
                Runner(self.display, self.streams)
                if call.jobs == 1
                else SideBySide(self.display, self.streams, call.jobs)
            )
        return self._workers


def _writes_beside_its_folder(config: ExperimentConfig) -> bool:
    """Return whether a run leaves anything for others: figures of a clean model, or one to start from."""
    return not config.attacks or config.clean_baseline == "run" or isinstance(config.start, CleanStart)


def _check_can_be_written(key: str, folder: Path) -> None:
    """Raise ConfigError at once where Hydra, or a run much later, would meet it."""
    if (why := files.obstacle(folder)) is not None:
        raise ConfigError(key, folder, f"cannot be written: {why}")


def _folder_of(hydra: Any, call: CallConfig) -> Path:  # noqa: ANN401 - a DictConfig that looks like HydraConf
    """Return the folder of a run; one that was named by the clock alone is nobody else's."""
    folder = Path(hydra.runtime.output_dir)
    is_chosen = any(override.startswith("hydra.run.dir=") for override in hydra.overrides.hydra)
    by_clock = hydra.mode == RunMode.RUN and call.resume is None and not is_chosen
    return own_folder(folder, LOG_NAME) if by_clock else folder


_here: Jobs | None = None
"""Those of this process's command line; None in a process that one of Hydra's launchers has started."""


def accept_from_hydra(jobs: Jobs) -> None:
    """Have `task` hand its runs to `jobs`."""
    global _here  # noqa: PLW0603 - Hydra calls a function that must mean the same in other processes
    _here = jobs


def task(whole: DictConfig) -> Outcome | float:
    """Take a run from Hydra; in a process that a launcher has started elsewhere it is made at once.

    Raises
    ------
    FlBackdoorError
        If a run elsewhere failed: the launcher is to know. Why was said there.
    """
    if _here is not None:
        return _here.hand_in(whole)
    with Streams() as streams, Display(streams.terminal) as display:
        jobs = Jobs(display, streams)
        try:
            outcome = jobs.hand_in(whole)
            jobs.work()
            found = float(outcome)
        finally:
            jobs.close()
        if jobs.failed:
            raise FlBackdoorError("the run failed")
        return found
