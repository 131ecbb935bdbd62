"""Standard output as it may be: of any encoding, closed, or a pipe whose reader has had enough.

A character that the terminal cannot show is spelled in those that it can. Where nothing is open, nothing is
written. When a reader leaves, as ``head`` does, the process is interrupted as by Ctrl-C, and says no more.
"""

import codecs
import io
import os
import signal
import sys
import threading
import unicodedata
from collections.abc import Callable
from typing import NoReturn, TextIO

READABLE = "fl_backdoor.readable"
"""Name of the error handler that spells what an encoding lacks."""

SPELLED = {
    **{"α": "alpha", "β": "beta", "γ": "gamma", "λ": "lambda", "ρ": "rho", "Δ": "Delta", "σ": "sigma"},
    **{"±": "+-", "×": "x", "·": "-", "–": "-", "—": "-", "−": "-", "…": "...", "‖": "||"},
    **{"≤": "<=", "≥": ">=", "≈": "~", "“": '"', "”": '"', "‘": "'", "’": "'"},
}

INTERRUPTED = 130


class _Stream(io.TextIOWrapper):
    """Writes until the reader leaves."""

    reader_has_left = False

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except BrokenPipeError:
            self._give_up()
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except BrokenPipeError:
            self._give_up()

    def _give_up(self) -> None:
        """Let what is still to come go nowhere, and what is under way end as on Ctrl-C."""
        _Stream.reader_has_left = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
        main_thread = threading.main_thread().ident
        assert main_thread is not None
        signal.pthread_kill(main_thread, signal.SIGINT)


def stream(descriptor: int, encoding: str = "utf-8", *, line_buffering: bool = False) -> TextIO:
    """Return a text stream to `descriptor` that no character and no reader can break."""
    file = os.fdopen(descriptor, "wb", closefd=descriptor > 2)
    return _Stream(file, encoding, errors=READABLE, line_buffering=line_buffering)


def as_process(main: Callable[[], int | None]) -> NoReturn:
    """Be the process of a command: call `main` and exit with what it returns."""
    _open_what_is_closed()
    sys.stdout, sys.stderr = (_replaced(old, number) for old, number in ((sys.stdout, 1), (sys.stderr, 2)))
    try:
        status = main()
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = 0 if _Stream.reader_has_left else INTERRUPTED
    sys.exit(status)


def _open_what_is_closed() -> None:
    """Have 0, 1 and 2 be open: the next file to be opened would be taken for the terminal."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free


def _replaced(old: TextIO | None, number: int) -> TextIO:
    if old is None:
        return stream(number)
    old.flush()
    return stream(number, old.encoding, line_buffering=number == 2 or old.isatty())


def _spelled(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    there = error.object[error.start : error.end]
    return "".join(map(_in_ascii, there)), error.end


def _in_ascii(character: str) -> str:
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return SPELLED.get(character) or plain or "?"


codecs.register_error(READABLE, _spelled)
