"""Runs that are killed at random moments and go on: they must end as if nothing had happened.

A small simulation with a rule and a trigger that both remember something, killed with all of its processes
(kill -9) at a moment drawn evenly between its first file and its end, then resumed.
"""

import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.drills.outcome import Options, Outcome
from tests.runner.test_main import PROGRAM, environment
from tests.runner.test_resume import RUN, assert_equal_but_for_clocks

NAMES = ("kills",)
TRIES = 20
FOUND = "found"
"""The run's folder, as `RUN` has it."""

POLL_SECONDS = 0.005


def why_not() -> str | None:
    """Return why this machine cannot do them: there is no reason."""
    return None


def outcomes(names: Sequence[str], options: Options) -> Iterator[Outcome]:
    """Kill and resume runs, and compare them with one that was left alone."""
    assert names == list(NAMES)
    begun = time.monotonic()
    tries = options.tries or TRIES
    draw = random.Random(options.seed)
    lost: list[str] = []
    moments: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as scratch:
        alone = Path(scratch) / "alone"
        seconds = _run(alone, None)
        for number in range(tries):
            folder = Path(scratch) / str(number)
            after = draw.uniform(0, seconds)
            _run(folder, after)
            rounds = _rounds(folder)
            moments.append({"seconds": after, "rounds": rounds})
            lost += [f"kill {number} after {after:.2f} s: {what}" for what in _lost(folder, alone)]
    yield Outcome(
        f"{tries} runs killed (kill -9) at random moments of {seconds:.1f} s, and resumed",
        f"{tries - len(lost)} ended as if nothing had happened, in every figure and the model, bit for bit",
        lost,
        time.monotonic() - begun,
        {"seed": options.seed, "kills": moments},
    )


def _run(folder: Path, seconds: float | None) -> float:
    """Start the run, kill it `seconds` after its first file, and return how long it went from there."""
    folder.mkdir()
    with subprocess.Popen(
        [*PROGRAM, *RUN],
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        while not (folder / FOUND / "config.yaml").exists() and process.poll() is None:
            time.sleep(POLL_SECONDS)
        began = time.monotonic()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
    return time.monotonic() - began


def _lost(folder: Path, alone: Path) -> list[str]:
    """Resume the run in `folder`, and return what is not as in `alone`."""
    shown = subprocess.run(
        [*PROGRAM, *RUN, f"resume={FOUND}"],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if shown.returncode != 0:
        return [f"resume ended with {shown.returncode}: {shown.stdout.splitlines()[-1:]}"]
    try:
        assert_equal_but_for_clocks(folder / FOUND, alone / FOUND)
    except AssertionError as error:
        return [" ".join(str(error).split()) or "its files are not the same"]
    return []


def _rounds(folder: Path) -> int:
    """Return how many rows of rounds were on the disk."""
    file = folder / FOUND / "rounds.csv"
    return max(0, file.read_bytes().count(b"\n") - 1) if file.exists() else 0
