"""Follow a run that goes on elsewhere: ``fl-backdoor watch <folder>``.

Only its files are read; the run knows nothing of it. The exit code is 0 if all that was shown is finished, 1
if something of it is not, 2 if there is nothing to show and 130 after Ctrl-C.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from fl_backdoor.core import reading
from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.runner.display.live import Display
from fl_backdoor.runner.display.views import ManyRuns, OneRun
from fl_backdoor.runs import runs

POLL_SECONDS = 0.5

FINISHED, NOT_FINISHED, NOTHING_TO_SHOW, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str]) -> int:
    """Follow what `arguments` name, and return the exit code."""
    asked = _parser().parse_args(arguments)
    with Display(sys.stdout) as display:
        try:
            return _follow(display, asked.folder, once=asked.once, wait=asked.wait)
        except FlBackdoorError as error:
            display.error(str(error))
            return NOTHING_TO_SHOW
        except KeyboardInterrupt:
            return INTERRUPTED


def _follow(display: Display, folder: Path, *, once: bool, wait: bool) -> int:
    while wait and not runs.run_folders(folder):
        time.sleep(POLL_SECONDS)
    with _view(display, folder) as view:
        # Twice, even if once is enough: what cannot be read at first may be half written.
        for _ in range(2) if once else itertools.count():
            if not view.look():
                break
            time.sleep(POLL_SECONDS)
        return FINISHED if view.all_finished else NOT_FINISHED


def _view(display: Display, folder: Path) -> AbstractContextManager[OneRun | ManyRuns]:
    if folder in runs.some_run_folders(folder):
        return nullcontext(OneRun(display, folder))
    return ManyRuns(display, folder, _expected(folder / "multirun.yaml"))


def _expected(multirun: Path) -> int | None:
    """Return how many runs a multirun has, going by what Hydra wrote; 0: there is nothing; None: unknown."""
    if not multirun.exists():
        return 0
    from hydra.errors import HydraException

    from fl_backdoor.runner.composition import num_runs

    found: Any = reading.yaml_values(multirun)
    try:
        hydra = found["hydra"]
        by_hydra = str(hydra["sweeper"]["_target_"]).endswith("BasicSweeper")
        return num_runs(hydra["overrides"]["task"]) if by_hydra else None
    except (KeyError, TypeError, AttributeError, HydraException) as error:
        raise reading.damaged(multirun, error) from error


def _parser() -> argparse.ArgumentParser:
    said = "Follow a run, or all runs of a multirun, from their files."
    parser = argparse.ArgumentParser(prog="fl-backdoor watch", description=said)
    parser.add_argument("folder", type=Path, help="a run's folder, or one that holds several")
    parser.add_argument("--once", action="store_true", help="show what is there and end")
    parser.add_argument("--wait", action="store_true", help="wait for a run that is not there yet")
    return parser
