"""The runs of one process: one engine serves them all, each writes a folder of its own."""

from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fl_backdoor.config.metric_settings import without_attack
from fl_backdoor.config.schema import DeploymentConfig, ExperimentConfig
from fl_backdoor.core.errors import FlBackdoorError, NobodyAnswers
from fl_backdoor.data.contents import Contents, contents_of
from fl_backdoor.engine.deployment.engine import Deployment, OnGrid
from fl_backdoor.engine.shared_ray import SharedRay
from fl_backdoor.engine.simulation import LOCAL, Resources, Simulation, resources
from fl_backdoor.runner import clean_start, resume, start
from fl_backdoor.runner.checks import Checked
from fl_backdoor.runner.display.background import Background
from fl_backdoor.runner.display.live import Display
from fl_backdoor.runner.display.redirect import Streams
from fl_backdoor.runner.experiment_key import clean_key
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
    streams
        Where everything else goes: each run has a log file of its own.
    background
        Draws the figures.
    shared
        The Ray that several processes share; None: the one that the configuration asks for.
    engine
        Where all runs go on; None: where their configurations say.
    """

    def __init__(
        self,
        display: Display,
        streams: Streams,
        background: Background,
        shared: SharedRay | None = None,
        engine: Engine | None = None,
    ) -> None:
        self.shared = shared
        self.display = display
        self.streams = streams
        self.background = background
        self._engine = engine

    def start(self, config: ExperimentConfig) -> None:
        """Start the engine that runs like `config` need; nobody need wait for it."""
        self._engine_for(config)

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
        contents = contents_of(checked.config.dataset)
        self._run_clean_baseline(checked, contents)
        with only_writer(folder):
            self._run(checked, contents, folder, go_on=go_on)

    def close(self) -> None:
        """End the engine, if one was started."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def abandon(self) -> None:
        """End Ray without waiting for clients in training; the process must exit next."""
        if self._engine is not None:
            self._engine.abandon()

    def _run_clean_baseline(self, checked: Checked, contents: Contents | None) -> None:
        config = checked.config
        if config.clean_baseline != "run" or not config.attacks:
            return
        folder, key = baselines(config), clean_key(config, contents)
        if clean_baseline.lookup(folder, key) is not None:
            return
        # Another process may be training the same clean model: that is waited for, and its figures are taken.
        with only_writer(folder / key, wait=True):
            if clean_baseline.lookup(folder, key) is None:
                self._run(replace(checked, config=without_attack(config)), contents, folder / key, go_on=True)

    def _run(self, checked: Checked, contents: Contents | None, folder: Path, *, go_on: bool) -> None:
        if go_on and resume.is_run(folder):
            resume.check_same_settings(checked.config, folder)
            resume.check_same_data(contents, folder)
            if resume.is_finished(folder):
                self._leave_finished(checked, contents, folder)
                return
            after = resume.cut_off_after(checked.config, contents, folder)
            self._run_rounds(checked, contents, folder, after, anew=after is None)
        else:
            self._run_rounds(checked, contents, folder, after=None)

    def _make_clean_start(self, checked: Checked, contents: Contents | None) -> None:
        folder = clean_start.folder_of(checked.config, contents)
        if folder is None or clean_start.is_made(folder):
            return
        # As with the clean baseline: whoever comes second waits, and starts from the same model.
        with only_writer(folder, wait=True):
            if not clean_start.is_made(folder):
                config = clean_start.run_of(checked.config, folder)
                clean = replace(checked, config=config, of_strategy=())
                self._run(clean, contents, folder, go_on=True)
            clean_start.require(folder)

    def _run_rounds(
        self,
        checked: Checked,
        contents: Contents | None,
        folder: Path,
        after: Checkpoint | None,
        *,
        anew: bool = False,
    ) -> None:
        from fl_backdoor.federation.server_app import Experiment
        from fl_backdoor.runner.recorder import Recorder

        if after is None:
            self._make_clean_start(checked, contents)
        experiment = Experiment(checked.config)
        _ = experiment.world.data  # while a progress bar for downloading or decoding can still be seen
        if after is None:
            start.begin(checked.config, experiment.world.model, contents)
        self._say_who_is_to_attack(experiment)
        self.streams.send_to(folder / LOG_NAME)
        self._engine_for(checked.config)
        recorder = Recorder(experiment, checked, folder, self.display, self.background)
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

        will = LastWill(recorder.files.path, recorder.key, recorder.notices, recorder.facts)
        # What a helper has to say is said by the process that hears of its end.
        return Witness(will, self.streams.terminal if self.shared is None else None)

    def _say_who_is_to_attack(self, experiment: "Experiment") -> None:
        """On real machines nodes attack by their own start-up option; figures go by what the seed picks."""
        config = experiment.config
        if isinstance(config.engine, DeploymentConfig) and config.attacks:
            clients = ", ".join(map(str, sorted(experiment.malicious)))
            self.display.notice(
                f"clients that count as malicious in the figures: {clients} (seed {config.seed}); "
                "their nodes, and no others, are to be started with --malicious"
            )

    def _leave_finished(self, checked: Checked, contents: Contents | None, folder: Path) -> None:
        """Do what a process that was killed just after the last round did not come to."""
        files, config = RunFolder(folder), checked.config
        run = runs.read(folder, tables=False)
        files.clear_drafts()
        if checkpoint.is_there(folder):
            self._draw_samples(checked, contents, folder)
        if checkpoint.is_there(folder) or not files.figure.exists():
            self.background.do(files.draw, run.title)
        self.background.do(checkpoint.remove, folder)
        if run.status == "finished" and not config.attacks:
            clean_baseline.register(baselines(config), clean_key(config, contents), files.rounds_csv)
        self.display.run_finished(f"{run.status} already", folder)

    def _draw_samples(self, checked: Checked, contents: Contents | None, folder: Path) -> None:
        from fl_backdoor.federation.server_app import Experiment
        from fl_backdoor.runner.recorder import Recorder

        # The run is finished: that its checkpoint is torn costs a picture and nothing else.
        with suppress(FlBackdoorError):
            after = resume.cut_off_after(checked.config, contents, folder)
            if after is not None:
                experiment = Experiment(checked.config)
                recorder = Recorder(experiment, checked, folder, self.display, self.background)
                recorder.draw_samples(after.shared_state)

    def _engine_for(self, config: ExperimentConfig) -> Engine:
        wanted = self._wanted(config)
        if self._engine is None or self._engine.wanted != wanted or self._engine.has_died:
            self.close()
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


def baselines(config: ExperimentConfig) -> Path:
    """Return the folder of all clean models' figures."""
    return Path(config.outputs) / "clean_baselines"
