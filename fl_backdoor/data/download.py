"""Downloads: asking first whether anybody answers, and moving only what is complete to its place."""

import shutil
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen
from uuid import uuid4

from fl_backdoor.core.errors import DataError

PROBE_SECONDS = 3.0


def unreachable(url: str) -> str | None:
    """Say in a few words why `url` cannot be fetched; None if its server answers within three seconds.

    The request is a HEAD through urllib, hence by way of the proxy that a download would take.
    """
    answer: Queue[str | None] = Queue()
    # The timeout of a socket does not cover looking up the name; a thread that is left behind does.
    Thread(target=lambda: answer.put(_ask(url)), daemon=True).start()
    try:
        return answer.get(timeout=PROBE_SECONDS)
    except Empty:
        return f"{urlsplit(url).hostname} did not answer within {PROBE_SECONDS:g} s"


def _ask(url: str) -> str | None:
    try:
        with urlopen(Request(url, method="HEAD"), timeout=PROBE_SECONDS):
            return None
    except (OSError, HTTPException) as error:
        reason = error.reason if type(error) is URLError else error  # an HTTPError's text has the status, too
        return f"{urlsplit(url).hostname} cannot be reached: {reason}"


def download(root: Path, fetch: Callable[[Path], Path]) -> None:
    """Let `fetch` fill an empty folder, and move what it returns, a path in there, to `root`.

    Raises
    ------
    DataError
        If the download fails or `root` cannot be written.
    """
    unfinished = root / f".download-{uuid4().hex}"
    try:
        unfinished.mkdir(parents=True)
        finished = fetch(unfinished)
        _move(finished, root / finished.name)
    except (OSError, RuntimeError, HTTPException) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"dataset.root: the download to {root} failed ({reason}); "
            "try again, or set it to a folder with the data"
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _move(finished: Path, target: Path) -> None:
    try:
        finished.rename(target)
    except OSError:
        if not target.exists():  # otherwise another process was faster, and its copy is as good
            raise
