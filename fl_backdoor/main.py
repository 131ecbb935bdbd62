"""The entry point: ``python -m fl_backdoor.main strategy=hybrid attack.alpha=0.052``.

Only what answers a wrong command line is imported up here; PyTorch, Flower and Ray come with the first run.
"""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from fl_backdoor.command_line import CONFIG_MODULE, CONFIG_NAME, composed, plain_values
from fl_backdoor.config import ExperimentConfig, parse
from fl_backdoor.errors import FlBackdoorError
from fl_backdoor.results.live import Display
from fl_backdoor.streams import Streams

if TYPE_CHECKING:
    from fl_backdoor.session import Session

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
            check_all([parse(plain) for plain in composed(sys.argv[1:])])
            hydra.main(version_base="1.3", config_path=f"pkg://{CONFIG_MODULE}", config_name=CONFIG_NAME)(
                jobs.run
            )()
        except FlBackdoorError as error:
            display.error(str(error))
            sys.exit(WRONG_SETTING)
        except KeyboardInterrupt:
            display.error("interrupted; what was done so far is on disk")
            jobs.abandon()
            # Flower's threads would wait for the clients in training, and nobody else does any more.
            os._exit(INTERRUPTED)
        finally:
            jobs.close()
    sys.exit(FAILED if jobs.failed else 0)


def check_all(configs: list[ExperimentConfig]) -> None:
    """Check every run of a sweep before the first of them starts."""
    if configs:
        from fl_backdoor.checks import check

        for config in configs:
            check(config)


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
        self._session: Session | None = None

    def run(self, composed_config: DictConfig) -> None:
        """Run one configuration, and bring the tables of its sweep up to date.

        A run of a sweep that fails is reported and leaves the others alone.
        """
        folder = Path(HydraConfig.get().runtime.output_dir)
        try:
            with self._reporting(folder):
                self._started_session().run(parse(plain_values(composed_config)), folder)
        finally:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                with self._reporting(folder):
                    _collect(Path(HydraConfig.get().sweep.dir))

    def close(self) -> None:
        """End the simulation."""
        if self._session is not None:
            self._session.close()

    def abandon(self) -> None:
        """End Ray's processes; this one must exit next."""
        if self._session is not None:
            self._session.abandon()

    def _started_session(self) -> "Session":
        from fl_backdoor.session import Session

        if self._session is None:
            self._session = Session(self.display, self.streams)
        return self._session

    @contextmanager
    def _reporting(self, folder: Path) -> Iterator[None]:
        """Report whatever goes wrong in one line."""
        try:
            yield
        except FlBackdoorError as error:
            self.failed = True
            self.display.error(str(error))
        except Exception as error:  # a defect, or a machine that gave way: the other runs go on
            self.failed = True
            log.exception("the run failed")
            self.display.error(f"{type(error).__name__}: {error}; the traceback is in {folder}/run.log")


def _collect(sweep_folder: Path) -> None:
    from fl_backdoor.results.sweep import collect

    collect(sweep_folder)


if __name__ == "__main__":
    main()
