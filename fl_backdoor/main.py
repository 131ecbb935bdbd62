"""The entry point: ``python -m fl_backdoor.main strategy=hybrid attack.alpha=0.052``.

Only what answers a wrong command line is imported up here; PyTorch, Flower and Ray come once it is right.
"""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from fl_backdoor.command_line import CONFIG_MODULE, CONFIG_NAME, composed, plain_values
from fl_backdoor.config import parse
from fl_backdoor.errors import FlBackdoorError
from fl_backdoor.results.background import Background
from fl_backdoor.results.live import Display
from fl_backdoor.session import Session
from fl_backdoor.streams import Streams

log = logging.getLogger("fl_backdoor")

QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
"""Nothing is reported to anybody unless the user sets these otherwise."""

FAILED, WRONG_SETTING, INTERRUPTED = 1, 2, 130


def main() -> None:
    """Check the whole command line, then run what it asks for."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    with Streams() as streams, Display(streams.terminal) as display:
        jobs = Jobs(display, streams)
        try:
            jobs.prepare(sys.argv[1:])
            hydra.main(version_base="1.3", config_path=f"pkg://{CONFIG_MODULE}", config_name=CONFIG_NAME)(
                jobs.run
            )()
        except FlBackdoorError as error:
            display.error(str(error))
            jobs.leave(WRONG_SETTING)
        except KeyboardInterrupt:
            display.error("interrupted; what was done so far is on disk")
            jobs.leave(INTERRUPTED)
        finally:
            jobs.close()
    sys.exit(FAILED if jobs.failed else 0)


class Jobs:
    """What Hydra calls for each run of a command line.

    Parameters
    ----------
    display, streams
        What the user sees, and where everything else goes.
    """

    def __init__(self, display: Display, streams: Streams) -> None:
        self.display = display
        self.streams = streams
        self.failed = False
        self.background = Background(self._reporting)
        self._session = Session(display, streams, self.background)

    def prepare(self, arguments: list[str]) -> None:
        """Check every run that the command line asks for, before the first of them starts.

        Raises
        ------
        FlBackdoorError
            If anything is wrong with one of them.
        """
        self._session.prepare([parse(plain) for plain in composed(arguments)])

    def run(self, composed_config: DictConfig) -> None:
        """Run one configuration, and bring the tables of its sweep up to date.

        A run of a sweep that fails is reported and leaves the others alone.
        """
        try:
            with self._reporting():
                folder = Path(HydraConfig.get().runtime.output_dir)
                self._session.run(parse(plain_values(composed_config)), folder)
        finally:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                self.background.do(_collect, Path(HydraConfig.get().sweep.dir))

    def close(self) -> None:
        """End the simulation, and finish the figures."""
        self._session.close()
        self.background.close()

    def leave(self, status: int) -> NoReturn:
        """End the process once Ray has ended and the figures are drawn, and wait for nothing else."""
        try:
            self._session.abandon()
            self.background.close()
        finally:
            # Flower's threads would wait for clients in training.
            os._exit(status)

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        """Report whatever goes wrong in one line."""
        try:
            yield
        except FlBackdoorError as error:
            self.failed = True
            self.display.error(str(error))
        except Exception as error:  # a defect, or a machine that gave way: the other runs go on
            self.failed = True
            log.exception("the run failed")
            self.display.error(f"{type(error).__name__}: {error}; the traceback is in {self.streams.log}")


def _collect(sweep_folder: Path) -> None:
    from fl_backdoor.results.sweep import collect

    collect(sweep_folder)


if __name__ == "__main__":
    main()
