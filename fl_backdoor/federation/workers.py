"""Processes that work for this one on one core each, and that end as soon as it closes them or is gone."""

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.core.interruptible import result_of

Task = TypeVar("Task")
Result = TypeVar("Result")

KILLED = "a process that worked for the server was killed: did this machine run out of memory?"

_work: Callable[[Any], Any]
"""What a worker does with a task; there is none in the process that started it."""


class Workers(Generic[Task, Result]):
    """Does tasks side by side; the processes start with the first of them.

    Parameters
    ----------
    begin
        Called once in each process; returns what is to be done with a task. Both are pickled.
    num_workers
        How many processes there are.
    """

    def __init__(self, begin: Callable[[], Callable[[Task], Result]], num_workers: int) -> None:
        context = get_context("spawn")
        theirs, self._alive = context.Pipe(duplex=False)
        self._num_workers = num_workers
        self._pool = ProcessPoolExecutor(num_workers, context, _begin, (theirs, begin))

    def map(self, tasks: Iterable[Task], go_on: Callable[[], None]) -> Iterator[Result]:
        """Yield the results in the order of the tasks, few of which are taken ahead of time.

        Parameters
        ----------
        tasks
            What is to be done.
        go_on
            Called again and again while results are waited for; may raise to end that.

        Raises
        ------
        FlBackdoorError
            If a process was killed.
        """
        begun = (self._pool.submit(_do, task) for task in tasks)
        try:
            running = deque(islice(begun, 2 * self._num_workers))
            while running:
                yield result_of(running.popleft(), go_on)
                running.extend(islice(begun, 1))
        except BrokenProcessPool:
            raise FlBackdoorError(KILLED) from None

    def close(self) -> None:
        """End the processes, whatever they are doing."""
        self._alive.close()
        self._pool.shutdown(cancel_futures=True)


def _begin(alive: Connection, begin: Callable[[], Callable[[Any], Any]]) -> None:
    # Ctrl-C is the first process's affair.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(alive,), daemon=True).start()
    global _work  # noqa: PLW0603 - all that an executor gives its processes
    _work = begin()


def _end_with(alive: Connection) -> None:
    with suppress(EOFError, OSError):
        alive.recv_bytes()  # nobody sends anything: this ends with the other end of the pipe
    os._exit(0)


def _do(task: Any) -> Any:  # noqa: ANN401 - see Workers
    return _work(task)
