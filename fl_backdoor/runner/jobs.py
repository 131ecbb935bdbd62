"""The runs that a command line asks for: checked together, handed in by Hydra one by one, then worked off.

Hydra's own sweeper hands in all of them before the first one starts, so that models without attackers come
first and stand beside the figures of the others. A sweeper that picks values as it goes, such as Optuna's,
asks for the results of what it has handed in before it hands in more.
"""

import math
from functools import partial
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
from fl_backdoor.runner.display.progress_line import ProgressLine
from fl_backdoor.runner.display.redirect import Redirect
from fl_backdoor.runner.job import Job
from fl_backdoor.runner.planned_run import baselines
from fl_backdoor.runner.resolvers import plain_values
from fl_backdoor.runner.session import LOG_NAME, Session
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
    display, redirect
        What the user sees, and where everything else goes.
    """

    def __init__(self, display: Display, redirect: Redirect) -> None:
        self.display = display
        self.redirect = redirect
        self._workers: Session | SideBySide | None = None
        self._waiting: list[Job] = []
        self._searched: list[tuple[float, Outcome]] = []
        self._handed_in = self._counting("ready")
        self._prepared: dict[tuple[str, ...], tuple[ExperimentConfig, CallConfig, Checked]] = {}

    def __call__(self, whole: DictConfig) -> Outcome:
        """Take one run; it is made when `work` is called, or when somebody looks at its outcome."""
        hydra = HydraConfig.get()
        multirun = hydra.mode == RunMode.MULTIRUN
        overrides = tuple(hydra.overrides.task)
        config, call, checked = self._prepared.get(overrides) or (
            *parse_whole(plain_values(whole), multirun=multirun),
            None,
        )
        job = Job(
            config=config,
            folder=_folder_of(hydra, call),
            sweep_folder=Path(hydra.sweep.dir) if multirun else None,
            overrides=overrides,
            go_on=multirun or call.resume is not None,
            checked=checked,
        )
        self._workers_for(call)
        self._waiting.append(job)
        self._handed_in.one_more()
        return Outcome(self, job, call)

    def __reduce__(self) -> tuple[Any, ...]:
        """Send something else where a launcher of Hydra's has runs made in other processes."""
        return partial, (make_at_once,)

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
        asked: dict[tuple[str, ...], tuple[ExperimentConfig, CallConfig]] = {}
        for composition in self._counting("composed").over(compositions(arguments)):
            asked[composition.overrides] = config, call = parse_whole(composition.config, multirun=multirun)
        if not asked:
            return
        if call.resume is not None:
            resume.check_folder(Path(call.resume), multirun=multirun)
        key = "hydra.sweep.dir" if multirun else "hydra.run.dir"
        _check_can_be_written("resume" if call.resume else key, composition.folder)
        if any(_writes_beside_its_folder(config) for config, _ in asked.values()):
            _check_can_be_written("outputs", baselines(config))
        configs = [config for config, _ in asked.values()]
        checked = [check_light(config) for config in self._counting("looked at").over(configs)]
        if not runs_elsewhere(arguments):
            # Ray takes about as long to start as PyTorch, which is needed next, to import.
            self._workers_for(call).start(checked[0].config)
        found = [check_heavy(candidate) for candidate in self._counting("checked").over(checked)]
        if call.resume is not None and not multirun:
            config = found[0].config
            resume.check_can_go_on(config, contents_of(config.dataset), Path(call.resume))
        if not runs_elsewhere(arguments):
            from fl_backdoor.runner.rehearsal import rehearsed

            found = [rehearsed(one) for one in self._counting("with a model that works").over(found)]
            self._prepared = {
                overrides: (*parsed, ready)
                for (overrides, parsed), ready in zip(asked.items(), found, strict=True)
            }

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
            self._workers = Session(self.display, self.redirect)
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

    def _counting(self, what: str) -> ProgressLine:
        return ProgressLine(self.display.line, f"runs {what}")

    def _workers_for(self, call: CallConfig) -> "Session | SideBySide":
        if self._workers is None:
            self._workers = (
                Session(self.display, self.redirect)
                if call.jobs == 1
                else SideBySide(self.display, self.redirect, call.jobs)
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


def make_at_once(whole: DictConfig) -> float:
    """Make one run in a process that a launcher of Hydra's has started, and return what it came to.

    Raises
    ------
    FlBackdoorError
        If it failed: the launcher is to know. Why was said there.
    """
    with Redirect() as redirect, Display(redirect.terminal) as display:
        jobs = Jobs(display, redirect)
        try:
            found = float(jobs(whole))
        finally:
            jobs.close()
        if jobs.failed:
            raise FlBackdoorError("the run failed")
        return found
