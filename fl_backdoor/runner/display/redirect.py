"""Who writes where: rounds go to the terminal, everything else that is printed or logged goes to a file.

Ray and the libraries under it print from C++ and from threads of their own. The file descriptors themselves
are therefore turned over; the display holds a copy of the terminal's.
"""

import logging
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from fl_backdoor.runner.display import terminal

LOGGERS = ("fl_backdoor", "flwr", "ray", "py.warnings")


class Redirect:
    """The process's output while runs go on; a context manager that puts everything back.

    Attributes
    ----------
    terminal
        A text stream to wherever stdout went at first.
    log
        The file that everything else goes to; None before there is one.
    """

    def __init__(self) -> None:
        self._saved = {number: os.dup(number) for number in (1, 2)}
        self.terminal = terminal.stream(os.dup(1), getattr(sys.stdout, "encoding", None) or "utf-8")
        self.log: Path | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._flush()
        for number, saved in self._saved.items():
            os.dup2(saved, number)
            os.close(saved)
        self.terminal.close()

    def send_to(self, file: Path) -> None:
        """Send whatever is printed, warned of and logged from now on to `file`."""
        file.parent.mkdir(parents=True, exist_ok=True)
        self.log = file
        logging.captureWarnings(capture=True)
        for name in LOGGERS:
            # One each: when Ray starts, it gives those of its own logger another format.
            _set_only_handler(logging.getLogger(name), _handler(file))
        logging.getLogger("fl_backdoor").setLevel(logging.INFO)
        self._flush()
        with file.open("ab") as log:
            for number in self._saved:
                os.dup2(log.fileno(), number)

    def _flush(self) -> None:
        sys.stdout.flush()
        sys.stderr.flush()


def _handler(file: Path) -> logging.Handler:
    handler = logging.FileHandler(file, encoding="utf-8", errors="replace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    return handler


def _set_only_handler(logger: logging.Logger, handler: logging.Handler) -> None:
    for old in list(logger.handlers):
        logger.removeHandler(old)
        old.close()
    logger.addHandler(handler)
    logger.propagate = False
