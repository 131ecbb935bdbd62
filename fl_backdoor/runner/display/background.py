"""What nobody needs to wait for, such as figures: done beside the runs, in the order in which it came up."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

Task = tuple[Callable[..., None], tuple[Any, ...]]


class Background:
    """One thread of its own; close it in any case, which waits for all that is left to do.

    Parameters
    ----------
    reporting
        Makes the context in which each task runs; it deals with what the task raises.
    """

    def __init__(self, reporting: Callable[[], AbstractContextManager[None]]) -> None:
        self._reporting = reporting
        self._waiting: list[Task] = []
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(1, "background")

    def do(self, function: Callable[..., None], *arguments: object) -> None:
        """Call `function` soon, unless the same call waits already."""
        task = (function, arguments)
        with self._lock:
            if task in self._waiting:
                return
            self._waiting.append(task)
        self._thread.submit(self._run, task)

    def close(self) -> None:
        """Finish what is left, and take no more."""
        self._thread.shutdown()

    def _run(self, task: Task) -> None:
        with self._lock:
            self._waiting.remove(task)
        function, arguments = task
        with self._reporting():
            function(*arguments)
