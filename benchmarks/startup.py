"""Seconds until the program answers, until the first round begins, and that each run of a sweep adds.

Everything runs as a user starts it, in processes of its own, on the digits of mnist5k. ``first round
begins`` is the time from the command to the report on the initial model, which is evaluated while round 1
already trains. ``all workers ready`` is the time to the end of round 1, less what round 2 takes.
``further run`` is the time of a sweep of five runs less that of its first run alone, by four, less the
seconds of a run's rounds as its table has them: training, aggregation, and the evaluation of the last
model, beside which nothing trains.
"""

import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.measure import Figure, Scale

RUN = ["dataset=mnist5k", "client.local_steps=1", "partition.num_clients=4", "attack.num_malicious=1"]
FURTHER_RUNS = 4

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


def measure(scale: Scale) -> Iterator[Figure]:
    """Measure each quantity `scale.repeats` times, after one run that fills the caches."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _start(folder)
        for case, arguments in (("--help", ["--help"]), ("a wrong setting", ["attack.alpha=2"])):
            yield _figure(case, [_seconds(folder, arguments) for _ in range(scale.repeats)])
        begun, ready = zip(*(_start(folder) for _ in range(scale.repeats)), strict=True)
        yield _figure("first round begins", begun)
        yield _figure("all workers ready", ready)
        yield _figure("further run", [_further_run_seconds(folder) for _ in range(scale.repeats)])


def _figure(case: str, values: Sequence[float]) -> Figure:
    return Figure(case, "time", "s", tuple(values))


def _seconds(folder: Path, arguments: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(_command(arguments), cwd=folder, env=ENVIRONMENT, check=False, capture_output=True)
    return time.perf_counter() - started


def _start(folder: Path) -> tuple[float, float]:
    """Return the seconds until the first round begins, and until all workers are ready."""
    started = time.perf_counter()
    ended: dict[str, float] = {}
    with subprocess.Popen(
        _command([*RUN, "num_rounds=2"]), cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            ended[line.partition("/")[0]] = time.perf_counter()
    initial, first, second = (ended[f"round {server_round}"] for server_round in range(3))
    return initial - started, first - (second - first) - started


def _further_run_seconds(folder: Path) -> float:
    alone, together = folder / f"alone-{time.time_ns()}", folder / f"together-{time.time_ns()}"
    sweep = ["-m", *RUN, "num_rounds=2"]
    seeds = ",".join(str(seed) for seed in range(FURTHER_RUNS + 1))
    first = _seconds(folder, [*sweep, "seed=0", f"hydra.sweep.dir={alone}"])
    all_seconds = _seconds(folder, [*sweep, f"seed={seeds}", f"hydra.sweep.dir={together}"])
    tables = sorted(together.rglob("rounds.csv"))[1:]
    assert len(tables) == FURTHER_RUNS
    return (all_seconds - first - sum(map(_seconds_in_rounds, tables))) / FURTHER_RUNS


def _seconds_in_rounds(table: Path) -> float:
    with table.open(newline="") as lines:
        _, *rounds = csv.DictReader(lines)
    trained = sum(float(row["train_seconds"]) + float(row["aggregate_seconds"]) for row in rounds)
    return trained + float(rounds[-1]["evaluate_seconds"])


def _command(arguments: list[str]) -> list[str]:
    return [sys.executable, "-m", "fl_backdoor.main", *arguments]
