"""The runs of one process: one simulation serves them all, each writes a folder of its own."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fl_backdoor.checks import Checked, check, check_heavy, check_light
from fl_backdoor.clean_twin import clean_key, clean_twin
from fl_backdoor.config import ExperimentConfig
from fl_backdoor.engine.simulation import Simulation, resources
from fl_backdoor.results import clean_baseline
from fl_backdoor.results.background import Background
from fl_backdoor.results.live import Display
from fl_backdoor.streams import Streams

LOG_NAME = "run.log"


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
    """

    def __init__(self, display: Display, streams: Streams, background: Background) -> None:
        self.display = display
        self.streams = streams
        self.background = background
        self._simulation: Simulation | None = None

    def prepare(self, configs: Sequence[ExperimentConfig]) -> None:
        """Check all runs before the first of them starts, and start Ray meanwhile.

        Raises
        ------
        ConfigError
            If a setting of any run cannot work.
        """
        checked = [check_light(config) for config in configs]
        if checked:
            # Ray takes about as long to start as PyTorch, which is needed next, to import.
            self._simulation_for(checked[0].config)
        for candidate in checked:
            check_heavy(candidate)

    def run(self, config: ExperimentConfig, folder: Path) -> None:
        """Run one experiment into `folder`, after its clean twin if that is asked for and not known yet.

        Raises
        ------
        ConfigError
            If a setting cannot work; nothing is run then.
        KeyboardInterrupt
            If the user interrupts; what was done so far is on disk.
        """
        checked = check(config)
        self._run_clean_twin(checked)
        self._run(checked, folder)

    def close(self) -> None:
        """End the simulation, if one was started."""
        if self._simulation is not None:
            self._simulation.close()
            self._simulation = None

    def abandon(self) -> None:
        """End Ray without waiting for clients in training; the process must exit next."""
        if self._simulation is not None:
            self._simulation.abandon()

    def _run_clean_twin(self, checked: Checked) -> None:
        config = checked.config
        if config.clean_baseline != "run" or not config.attacks:
            return
        baselines = Path(config.outputs) / "clean_baselines"
        key = clean_key(config)
        if clean_baseline.lookup(baselines, key) is None:
            self._run(replace(checked, config=clean_twin(config)), _unused(baselines / key))

    def _run(self, checked: Checked, folder: Path) -> None:
        from fl_backdoor.recorder import Recorder
        from fl_backdoor.server_app import Experiment

        experiment = Experiment(checked.config)
        _ = experiment.world.data  # while a progress bar for downloading or decoding can still be seen
        self.streams.send_to(folder / LOG_NAME)
        simulation = self._simulation_for(checked.config)
        recorder = Recorder(experiment, checked, folder, self.display, self.background)
        recorder.start()
        try:
            simulation.run(lambda grid: experiment.run(grid, recorder.on_round))
        except KeyboardInterrupt:
            recorder.finish("stopped")
            raise
        except BaseException:
            recorder.finish("failed")
            raise
        recorder.finish("finished")

    def _simulation_for(self, config: ExperimentConfig) -> Simulation:
        wanted = resources(config)
        if self._simulation is None or self._simulation.resources != wanted:
            self.close()
            self._simulation = Simulation(wanted)
        return self._simulation


def _unused(folder: Path) -> Path:
    """Return `folder`, or the first of ``folder-2``, ``folder-3``, … that is not there."""
    attempt = 2
    candidate = folder
    while candidate.exists():
        candidate = folder.with_name(f"{folder.name}-{attempt}")
        attempt += 1
    return candidate
