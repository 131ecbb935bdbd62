"""The entry point: ``python -m fl_backdoor.main strategy=hybrid attack.alpha=0.052``.

Only what answers ``--help`` is imported up here, then what answers a wrong command line; PyTorch, Flower and
Ray come once it is right.
"""

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import hydra
from hydra.core.config_store import ConfigStore

from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.runner.composition import CONFIG_MODULE, CONFIG_NAME, asks_for_help, in_order
from fl_backdoor.runner.display.terminal import as_process

if TYPE_CHECKING:
    from fl_backdoor.runner.jobs import Jobs

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
    sys.argv[1:] = in_order(sys.argv[1:])
    if asks_for_help(sys.argv[1:]):
        _show_help()
    else:
        _run()


def _show_help() -> None:
    # Hydra copies what it holds of its own for each group that it lists, and changes none of it.
    held = ConfigStore.instance()
    held.__deepcopy__ = lambda memo: held  # type: ignore[attr-defined]
    _by_hydra(lambda config: None)


def _run() -> NoReturn:
    from fl_backdoor.runner.display.live import Display
    from fl_backdoor.runner.display.redirect import Redirect
    from fl_backdoor.runner.jobs import Jobs
    from fl_backdoor.runner.tracking.beside import left_behind

    with Redirect() as redirect, Display(redirect.terminal) as display:
        jobs = Jobs(display, redirect)
        try:
            jobs.prepare(sys.argv[1:])
            _by_hydra(jobs)
            jobs.work()
            jobs.tell_best()
        except FlBackdoorError as error:
            display.error(str(error))
            _leave(jobs, WRONG_SETTING)
        except BaseException as error:
            if not _comes_of_an_interrupt(error):
                raise
            display.error("interrupted; what was done so far is on disk")
            _leave(jobs, INTERRUPTED)
        finally:
            jobs.close()
    status = FAILED if jobs.failed else 0
    if left_behind():
        os._exit(status)
    sys.exit(status)


def _by_hydra(task: Callable[[Any], Any]) -> None:
    """Have Hydra read the command line, and answer it or call `task` for each run."""
    hydra.main(version_base="1.3", config_path=f"pkg://{CONFIG_MODULE}", config_name=CONFIG_NAME)(task)()


def _comes_of_an_interrupt(error: BaseException) -> bool:
    """Look behind `error`: an interrupt while Hydra opens a file is hidden by an error of its cleaning up."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, KeyboardInterrupt):
        seen = seen.__context__
    return seen is not None


def _leave(jobs: "Jobs", status: int) -> NoReturn:
    """End the process once Ray has ended and the figures are drawn, and wait for nothing else."""
    try:
        jobs.abandon()
    finally:
        # Flower's threads would wait for clients in training.
        os._exit(status)


if __name__ == "__main__":
    as_process(main)
