"""Ends a run whose process is gone, as that process would have: for engines that take it with them.

Where the raylet dies through which a process hands Ray its messages, Ray ends that process at once: none of
its own lines is run any more. A witness is a process beside it that waits for its end and, unless it was told
of an orderly one, writes that the run is stopped and says how it goes on. Only NumPy is imported for it.
"""

import os
import pickle
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from fl_backdoor.runs import checkpoint
from fl_backdoor.runs.lock import only_writer
from fl_backdoor.runs.run_folder import RunFolder
from fl_backdoor.runs.summary import RunFacts


@dataclass(frozen=True)
class LastWill:
    """What it takes to end a run without its process.

    Parameters
    ----------
    folder
        The run's.
    key
        Names the experiment, see `checkpoint.load`.
    notices
        What the user must not miss, a line each.
    facts
        What the summary tells besides figures.
    """

    folder: Path
    key: str
    notices: list[str]
    facts: RunFacts

    def execute(self) -> str:
        """Write what a run that was stopped leaves, and return the line to be said; empty: it has ended."""
        with only_writer(self.folder, wait=True):
            if (self.folder / "summary.json").exists():
                return ""
            after, files = checkpoint.load(self.folder, self.key), RunFolder(self.folder)
            if after is not None:
                files.go_on(self.notices, after.progress)
            files.finish("stopped", {} if after is None else after.model, self.facts)
        return (
            "fl_backdoor: the process of this run has ended with the Ray on its machine; the run is stopped, "
            f"resume={self.folder} goes on after the last finished round\n"
        )


class Witness:
    """The process as the run's own one starts it; a context manager that lasts as long as the run.

    Parameters
    ----------
    will
        What is to be done if this process is gone before the context ends.
    terminal
        Where the line is said; None: somebody else says one.
    """

    def __init__(self, will: LastWill, terminal: TextIO | None) -> None:
        self._process = subprocess.Popen(
            # -P: what lies in the current folder is not what this process has imported.
            [sys.executable, "-P", "-m", __name__],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL if terminal is None else terminal.fileno(),
            start_new_session=True,  # Ctrl-C is the run's business
        )
        self._tell(pickle.dumps(will))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._tell(b"ended")
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        self._process.wait()

    def _tell(self, what: bytes) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):  # the run can do without a witness
            self._process.stdin.write(what)
            self._process.stdin.flush()


def _wait() -> None:
    will = pickle.load(sys.stdin.buffer)
    if not sys.stdin.buffer.read():
        sys.stdout.write(will.execute())


if __name__ == "__main__":
    _wait()
