"""Work in a thread that ends cleanly when the user interrupts."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

from fl_backdoor.core.errors import Stopped

Result = TypeVar("Result")

LOOK_SECONDS = 0.2


def wait_for(done: "Future[None]", stop: threading.Event, look: Callable[[], None] = lambda: None) -> None:
    """Wait until `done` has a result, and return or raise it.

    An interrupt sets `stop`, waits until the work has written what there is, and is raised then.

    Parameters
    ----------
    done
        The end of the work.
    stop
        Asks the work to end.
    look
        Called again and again while it is waited for; what it raises ends the wait.
    """
    try:
        result_of(done, look)
    except KeyboardInterrupt:
        stop.set()
        with suppress(Stopped):
            result_of(done, look)
        raise


def result_of(done: "Future[Result]", look: Callable[[], None]) -> Result:
    """Wait for a result, and return or raise it; what `look`, called meanwhile, raises ends the wait."""
    while not done.done():
        look()
        with suppress(TimeoutError):
            done.exception(timeout=LOOK_SECONDS)
    return done.result()
