"""A tracker in a thread of its own: if it fails, is slow or hangs, only what it should have recorded is lost.

Rounds wait for it in a queue. When the run has ended it gets a few seconds for what is left, and is left
behind then: its thread does not keep the process alive.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from functools import partial
from queue import SimpleQueue

from fl_backdoor.core.foreign_text import cleaned
from fl_backdoor.runner.tracking.base import STEP, TrackedRun, Tracker, figures
from fl_backdoor.runs.summary import Status

MOST_WAITING = 1000
"""Rounds that may wait for a slow tracker; those that come later are left out there."""

SECONDS_TO_FINISH = 10.0
"""How long a run that has ended waits for its tracker."""

LONGEST_REASON = 200
"""Characters of an error message that are told."""

THREAD = "tracking"

log = logging.getLogger("fl_backdoor")

Call = Callable[[], None]


class Tracking:
    """Tells a tracker of one run; no method raises or waits, but for a few seconds at the end.

    Parameters
    ----------
    tracker
        Who is told; None: nobody.
    notice
        Says a line to the user.
    """

    def __init__(self, tracker: Tracker | None, notice: Callable[[str], None]) -> None:
        self._tracker = tracker
        self._notice = notice
        self._name = "nothing"
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        self._unsaid = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self, run: TrackedRun) -> None:
        """Begin to tell of `run`."""
        if self._tracker is None:
            return
        self._name = f"{type(self._tracker).__name__} of {run.folder.name}"
        self._thread = threading.Thread(
            target=self._work, args=(self._tracker, run), name=THREAD, daemon=True
        )
        self._thread.start()

    def round_finished(self, row: Mapping[str, object]) -> None:
        """Tell of a finished round, a row of ``rounds.csv``."""
        tracker = self._tracker
        if tracker is None:
            return
        if self._calls.qsize() >= MOST_WAITING:
            self._say(f"is too slow: from round {row[STEP]} on, some are missing there")
            return
        self._calls.put(partial(_tell, tracker, row))

    def finish(self, status: Status) -> None:
        """Tell how the run ended, and wait for the tracker for a few seconds."""
        if self._tracker is None or self._thread is None:
            return
        self._calls.put(partial(self._tracker.finish, status))
        self._calls.put(None)
        self._thread.join(SECONDS_TO_FINISH)
        if self._thread.is_alive():
            self._say(f"was not done {SECONDS_TO_FINISH:g} s after the end, and is left behind")
        # What happens to it from now on is nobody's business: the log may be another run's.
        self._unsaid.acquire(blocking=False)

    def _work(self, tracker: Tracker, run: TrackedRun) -> None:
        if not self._succeeds(partial(tracker.start, run)):
            return
        for row in run.earlier:
            self._succeeds(partial(_tell, tracker, row))
        while (call := self._calls.get()) is not None:
            self._succeeds(call)

    def _succeeds(self, call: Call) -> bool:
        try:
            call()
        except BaseException as error:  # also an exit: it is the tracker's alone
            self._say(f"failed: {cleaned(f'{type(error).__name__}: {error}', LONGEST_REASON)}")
            return False
        return True

    def _say(self, text: str) -> None:
        """Say the first thing that goes wrong."""
        if self._unsaid.acquire(blocking=False):
            line = f"tracking: {self._name} {text}; the run is not affected"
            log.warning(line)
            self._notice(line)


def _tell(tracker: Tracker, row: Mapping[str, object]) -> None:
    server_round = row[STEP]
    assert isinstance(server_round, int)
    tracker.round_finished(server_round, figures(row))


def left_behind() -> bool:
    """Return whether a tracker is still at work: the process should then not wait for its threads."""
    return any(thread.name == THREAD for thread in threading.enumerate())
