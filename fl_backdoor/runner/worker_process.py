"""A process that makes runs for another one, and tells it what it would have told the user."""

import io
import os
import signal
import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import TextIO, cast

from fl_backdoor.engine.shared_ray import SharedRay
from fl_backdoor.runner.job import Job


@dataclass(frozen=True)
class Line:
    """What the user is to see."""

    text: str


@dataclass(frozen=True)
class Done:
    """The end of a run, and whether any failed so far."""

    failed: bool


@dataclass(frozen=True)
class Orders:
    """What a worker is told first: the Ray to use, and the log file for whatever belongs to no run."""

    shared: SharedRay
    log: Path


class WorkerProcess:
    """The process as the first one sees it.

    Attributes
    ----------
    connection
        Brings `Line` and `Done`; at its end the process has ended.
    has_orders
        Whether it was told what it needs.
    """

    def __init__(self) -> None:
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.has_orders = False
        self._process = context.Process(target=_serve, args=(theirs,), name="runs")
        self._process.start()
        theirs.close()

    def begin(self, orders: Orders) -> None:
        """Tell it what it needs; it imports what takes long meanwhile."""
        self.has_orders = True
        self.connection.send(orders)

    def take(self, job: Job) -> None:
        """Have it make a run; its sweep's tables are not its business."""
        with suppress(OSError):  # that it died is heard where its answer is waited for
            self.connection.send(replace(job, sweep_folder=None))

    def interrupt(self) -> None:
        """Have it end as Ctrl-C would."""
        if self._process.is_alive() and self._process.pid is not None:
            os.kill(self._process.pid, signal.SIGINT)

    def end(self, seconds: float) -> None:
        """Let it finish, and kill it after a while."""
        with suppress(OSError):
            self.connection.send(None)
        self._process.join(seconds)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self.connection.close()


class _Reports(io.TextIOBase):
    """A text stream whose lines reach the first process, as do other messages."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._begun = ""

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self.send(Line(line))
        return len(text)

    def send(self, message: Line | Done) -> None:
        with self._lock:
            self._connection.send(message)


def _serve(connection: Connection) -> None:
    """Make runs until the first process has no more, or is gone."""
    # Ctrl-C reaches the first process alone, which passes it on; before there is a run it just ends this one.
    os.setpgrp()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    orders: SimpleQueue[Orders | Job | None] = SimpleQueue()
    threading.Thread(target=_listen, args=(connection, orders), daemon=True).start()
    from fl_backdoor.runner import recorder  # noqa: F401 - PyTorch, while Ray starts
    from fl_backdoor.runner.display.live import Display
    from fl_backdoor.runner.display.redirect import Redirect
    from fl_backdoor.runner.session import Session

    reports = _Reports(connection)
    first = orders.get()
    if not isinstance(first, Orders):
        return
    with Redirect() as redirect, Display(cast("TextIO", reports), terminal=False) as display:
        redirect.send_to(first.log)
        session = Session(display, redirect, first.shared)
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            while isinstance(job := orders.get(), Job):
                session.make(job)
                reports.send(Done(session.reporting.failed))
        except KeyboardInterrupt:
            session.abandon()
            os._exit(128 + signal.SIGINT)
        session.close()


def _listen(connection: Connection, orders: "SimpleQueue[Orders | Job | None]") -> None:
    """Pass orders on; when the first process is gone, so is this one: its run can be resumed."""
    while True:
        try:
            orders.put(connection.recv())
        except (EOFError, OSError):
            os._exit(1)
