"""The runs of one process, one after the other, on one engine, each into a folder of its own."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fl_backdoor.config.schema import DeploymentConfig, ExperimentConfig
from fl_backdoor.core.errors import FlBackdoorError, NobodyAnswers
from fl_backdoor.engine.deployment.engine import Deployment, OnGrid
from fl_backdoor.engine.shared_ray import SharedRay
from fl_backdoor.engine.simulation import LOCAL, Resources, Simulation, resources
from fl_backdoor.runner import clean_start, resume, start
from fl_backdoor.runner.checks import Checked
from fl_backdoor.runner.display.background import Background
from fl_backdoor.runner.display.live import Display
from fl_backdoor.runner.display.redirect import Redirect
from fl_backdoor.runner.job import Job, collect
from fl_backdoor.runner.planned_run import PlannedRun
from fl_backdoor.runner.reporting import Reporting
from fl_backdoor.runs import checkpoint, clean_baseline, runs
from fl_backdoor.runs.checkpoint import Checkpoint
from fl_backdoor.runs.lock import only_writer
from fl_backdoor.runs.run_folder import RunFolder

if TYPE_CHECKING:
    from fl_backdoor.federation.grid import StoppableGrid
    from fl_backdoor.federation.server_app import Experiment
    from fl_backdoor.runner.recorder import Recorder

LOG_NAME = "run.log"

Engine = Simulation | Deployment | OnGrid
"""Where clients run."""


class Session:
    """Runs experiments one after the other; close it in any case.

    Parameters
    ----------
    display
        What the user sees.
    redirect
        Where everything else goes: each run has a log file of its own.
    shared
        The Ray that several processes share; None: the one that the configuration asks for.
    engine
        Where all runs go on; None: where their configurations say.

    Attributes
    ----------
    reporting
        Says what failed, and remembers it.
    background
        Draws the figures.
    """

    def __init__(
        self,
        display: Display,
        redirect: Redirect,
        shared: SharedRay | None = None,
        engine: Engine | None = None,
    ) -> None:
        self.shared = shared
        self.display = display
        self.redirect = redirect
        self.reporting = Reporting(display, redirect)
        self.background = Background(self.reporting)
        self._engine = engine

    def start(self, config: ExperimentConfig) -> None:
        """Start the engine that runs like `config` need; nobody need wait for it."""
        self._engine_for(config)

    def work(self, jobs: Sequence[Job]) -> None:
        """Make all runs; one that fails is reported and leaves the others alone."""
        for number, job in enumerate(jobs, start=1):
            if len(jobs) > 1:
                self.display.line(f"run {number} of {len(jobs)}")
            self.make(job)

    def make(self, job: Job) -> None:
        """Make a run, and bring the tables of its sweep up to date; that it failed is reported."""
        try:
            with self.reporting():
                self.run(job.ready(), job.folder, go_on=job.go_on)
        finally:
            if job.sweep_folder is not None:
                self.background.do(collect, job.sweep_folder)

    def run(self, checked: Checked, folder: Path, *, go_on: bool = False) -> None:
        """Run one experiment into `folder`, after its clean baseline if that is asked for and not known yet.

        Parameters
        ----------
        checked
            What to run, see `fl_backdoor.runner.rehearsal.ready`.
        folder
            Where its files go.
        go_on
            Whether a run that is there already is taken up where it was cut off, and left as it is if it is
            finished.

        Raises
        ------
        FlBackdoorError
            If the folder holds a run that is not to go on, or another one, or one that cannot go on; nothing
            is run then.
        KeyboardInterrupt
            If the user interrupts; what was done so far is on disk.
        """
        planned = PlannedRun.of(checked)
        self._run_clean_baseline(planned)
        with only_writer(folder):
            self._run(planned, folder, go_on=go_on)

    def close(self) -> None:
        """End the engine, if one was started, and finish the figures."""
        self._end_engine()
        self.background.close()

    def abandon(self) -> None:
        """Finish the figures and end Ray, but wait for no client; the process must exit next."""
        if self._engine is not None:
            self._engine.abandon()
        self.background.close()

    def _end_engine(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _run_clean_baseline(self, planned: PlannedRun) -> None:
        if planned.config.clean_baseline != "run" or not planned.config.attacks:
            return
        folder, key = planned.baselines, planned.clean_key
        if clean_baseline.lookup(folder, key) is not None:
            return
        # Another process may be training the same clean model: that is waited for, and its figures are taken.
        with only_writer(folder / key, wait=True):
            if clean_baseline.lookup(folder, key) is None:
                self._run(planned.without_attack, folder / key, go_on=True)

    def _run(self, planned: PlannedRun, folder: Path, *, go_on: bool) -> None:
        if go_on and resume.is_run(folder):
            resume.check_same_settings(planned.config, folder)
            resume.check_same_data(planned.contents, folder)
            if resume.is_finished(folder):
                self._leave_finished(planned, folder)
                return
            after = resume.cut_off_after(planned.config, planned.contents, folder)
            self._run_rounds(planned, folder, after, anew=after is None)
        else:
            self._run_rounds(planned, folder, after=None)

    def _make_clean_start(self, planned: PlannedRun) -> None:
        folder = planned.clean_start
        if folder is None or clean_start.is_made(folder):
            return
        # As with the clean baseline: whoever comes second waits, and starts from the same model.
        with only_writer(folder, wait=True):
            if not clean_start.is_made(folder):
                config = clean_start.run_of(planned.config, folder)
                clean = replace(planned.checked, config=config, of_strategy=())
                self._run(replace(planned, checked=clean), folder, go_on=True)
            clean_start.require(folder)

    def _run_rounds(
        self, planned: PlannedRun, folder: Path, after: Checkpoint | None, *, anew: bool = False
    ) -> None:
        from fl_backdoor.federation.server_app import Experiment
        from fl_backdoor.runner.recorder import Recorder

        if after is None:
            self._make_clean_start(planned)
        experiment = Experiment(planned.config)
        _ = experiment.context.data  # while a progress bar for downloading or decoding can still be seen
        if after is None:
            start.begin(planned.config, experiment.context.model, planned.contents)
        self._say_who_is_to_attack(experiment)
        self.redirect.send_to(folder / LOG_NAME)
        self._engine_for(planned.config)
        recorder = Recorder(experiment, planned, folder, self.display, self.background)
        recorder.start(anew=anew) if after is None else recorder.go_on(after)
        try:
            with self._witness(recorder):
                self._run_on_engine(experiment, recorder)
        except KeyboardInterrupt:
            recorder.finish("stopped")
            raise
        except NobodyAnswers as error:
            recorder.finish("stopped")
            goes_on = f"resume={folder} goes on after the last finished round"
            raise FlBackdoorError(f"{error}; the run is stopped, {goes_on}") from error
        except BaseException:
            recorder.finish("failed")
            raise
        recorder.finish("finished")

    def _run_on_engine(self, experiment: "Experiment", recorder: "Recorder") -> None:
        """Run the rounds that are left, and go on with another engine if the one started here dies."""

        def job(grid: "StoppableGrid") -> None:
            experiment.run(grid, recorder.on_round, recorder.reached, self.display.step)

        engine = self._engine_for(experiment.config)
        try:
            engine.run(job)
        except NobodyAnswers as error:
            if not engine.has_died or experiment.config.engine.address != LOCAL:
                raise
            self.display.notice(f"{error}: it is started again, and the round that was lost is repeated")
            # Once: what has killed two of them would kill the third.
            self._engine_for(experiment.config).run(job)

    def _witness(self, recorder: "Recorder") -> AbstractContextManager[object]:
        """Have the run ended in good order where Ray may end this process: if messages go through it."""
        from fl_backdoor.federation.server_app import transport_of

        config = recorder.experiment.config
        if isinstance(config.engine, DeploymentConfig) or transport_of(config) == "memory":
            return nullcontext()
        from fl_backdoor.runs.witness import LastWill, Witness

        will = LastWill(recorder.files.path, recorder.planned.key, recorder.notices, recorder.facts)
        # What a worker process has to say is said by the process that hears of its end.
        return Witness(will, self.redirect.terminal if self.shared is None else None)

    def _say_who_is_to_attack(self, experiment: "Experiment") -> None:
        """On real machines nodes attack by their own start-up option; figures go by what the seed picks."""
        config = experiment.config
        if isinstance(config.engine, DeploymentConfig) and config.attacks:
            clients = ", ".join(map(str, sorted(experiment.malicious)))
            self.display.notice(
                f"clients that count as malicious in the figures: {clients} (seed {config.seed}); "
                "their nodes, and no others, are to be started with --malicious"
            )

    def _leave_finished(self, planned: PlannedRun, folder: Path) -> None:
        """Do what a process that was killed just after the last round did not come to."""
        files, config = RunFolder(folder), planned.config
        run = runs.read(folder, tables=False)
        files.clear_drafts()
        if checkpoint.is_there(folder):
            self._draw_samples(planned, folder)
        if checkpoint.is_there(folder) or not files.figure.exists():
            self.background.do(files.draw, run.title)
        self.background.do(checkpoint.remove, folder)
        if run.status == "finished" and not config.attacks:
            clean_baseline.register(planned.baselines, planned.clean_key, files.rounds_csv)
        self.display.run_finished(f"{run.status} already", folder)

    def _draw_samples(self, planned: PlannedRun, folder: Path) -> None:
        from fl_backdoor.federation.server_app import Experiment
        from fl_backdoor.runner.recorder import Recorder

        # The run is finished: that its checkpoint is torn costs a picture and nothing else.
        with suppress(FlBackdoorError):
            after = resume.cut_off_after(planned.config, planned.contents, folder)
            if after is not None:
                experiment = Experiment(planned.config)
                recorder = Recorder(experiment, planned, folder, self.display, self.background)
                recorder.draw_samples(after.shared_state)

    def _engine_for(self, config: ExperimentConfig) -> Engine:
        wanted = self._wanted(config)
        if self._engine is None or self._engine.wanted != wanted or self._engine.has_died:
            self._end_engine()
            if isinstance(wanted, Resources):
                self._engine = Simulation(wanted)
            else:
                self._engine = Deployment(wanted, self.display.line)
        return self._engine

    def _wanted(self, config: ExperimentConfig) -> Resources | DeploymentConfig:
        if isinstance(config.engine, DeploymentConfig):
            return config.engine
        if self.shared is None:
            return resources(config)
        is_ours = config.engine.address == LOCAL
        share = resources(config, self.shared.num_jobs)
        return replace(share, address=self.shared.address, is_watched=is_ours)
