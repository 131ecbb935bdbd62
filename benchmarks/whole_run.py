"""A whole run of the program beside the bare loop that does the same work; they take turns.

Both are measured from the end of the first round to the end of the last: start-up, and the first round in
which workers load what they need, are left out. CPU time of the program is that of all its processes, Ray's
among them. The bare loop has one core and one thread. `benchmarks.resnet` does the same with a larger model.
"""

import csv
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from benchmarks.bare_loop import ShortTest
from benchmarks.measure import Figure, Scale
from benchmarks.processes import usage
from fl_backdoor.runs.environment import usable_cores

REPOSITORY = Path(__file__).parents[1]
ROUND = re.compile(r"round\s+(\d+)/")
FIGURES = ("main_task_accuracy", "attack_success_rate")


@dataclass(frozen=True)
class Case:
    """What is run.

    Parameters
    ----------
    rounds
        How many.
    steps
        Of a client in a round; None: one epoch.
    model
        One of `benchmarks.bare_loop.MODELS`.
    short_test
        Whether to evaluate on the first test images alone.
    """

    rounds: int
    steps: int | None
    model: str = "cnn"
    short_test: bool = False


@dataclass(frozen=True)
class Cost:
    """Seconds a round, figures after each round, and the last model."""

    cpu: float
    wall: float
    figures: list[tuple[float, ...]]
    model: dict[str, np.ndarray]


def measure(scale: Scale) -> Iterator[Figure]:
    """Measure the article's setting."""
    yield from compared(Case(3, 5) if scale.small else Case(10, None), scale.repeats)


def compared(what: Case, repeats: int) -> Iterator[Figure]:
    """Measure program and bare loop, and compare what they came to."""
    pairs = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            pairs.append((_program(Path(folder), what), _bare_loop(Path(folder), what)))
    where = "CIFAR-10" if data_folder() else "5,000 MNIST digits"
    for index, name in enumerate((f"program, {usable_cores()} cores", "bare loop, 1 core")):
        case = f"{what.model}, {where}, {what.rounds} rounds, {name}"
        yield Figure(case, "CPU time a round", "s", tuple(pair[index].cpu for pair in pairs))
        yield Figure(case, "wall time a round", "s", tuple(pair[index].wall for pair in pairs))
    case = f"{what.model}, program / bare loop"
    yield Figure(case, "CPU time", "", tuple(program.cpu / bare.cpu for program, bare in pairs))
    yield Figure(case, "wall time", "", tuple(program.wall / bare.wall for program, bare in pairs))
    yield Figure(case, "largest difference of a figure", "", tuple(_figures_apart(*pair) for pair in pairs))
    yield Figure(case, "largest difference of a weight", "", tuple(_models_apart(*pair) for pair in pairs))


def data_folder() -> Path | None:
    """Return the folder with real data, or None."""
    folder = Path(os.environ.get("FL_BACKDOOR_DATA") or REPOSITORY.parent / "shared" / "data")
    return folder if folder.is_dir() else None


def dataset_settings() -> list[str]:
    """Return the program's arguments that name the data set."""
    folder = data_folder()
    return ["dataset=cifar10", f"dataset.root={folder}"] if folder else ["dataset=mnist5k"]


def _program(folder: Path, what: Case) -> Cost:
    run, rounds = folder / "run", what.rounds
    settings = [*dataset_settings(), f"num_rounds={rounds}", f"hydra.run.dir={run}", f"outputs={folder}"]
    settings += [f"model={what.model}", *([f"client.local_steps={what.steps}"] if what.steps else [])]
    if what.short_test and data_folder():
        settings.append("dataset._target_=benchmarks.bare_loop.ShortTest")
    marks = []
    with _started("fl_backdoor.main", *settings) as process:
        assert process.stdout is not None
        for line in process.stdout:
            found = ROUND.match(line)
            if found and int(found[1]) in {1, rounds}:
                marks.append((usage(process.pid).cpu_seconds, time.perf_counter()))
    if process.returncode != 0:
        raise RuntimeError(f"the program failed with settings {settings}")
    with (run / "rounds.csv").open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))[1:]
    figures = [tuple(float(row[name]) for name in FIGURES) for row in rows]
    (cpu_before, before), (cpu_after, after) = marks
    model = load_file(run / "model.safetensors")
    return Cost((cpu_after - cpu_before) / (rounds - 1), (after - before) / (rounds - 1), figures, model)


def _bare_loop(folder: Path, what: Case) -> Cost:
    model = folder / "bare.safetensors"
    settings = [f"--rounds={what.rounds}", f"--model={what.model}", f"--weights={model}"]
    settings += [f"--data={data_folder()}"] if data_folder() else []
    settings += [f"--local-steps={what.steps}"] if what.steps else []
    settings += [f"--num-test={ShortTest.num_tested}"] if what.short_test else []
    with _started("benchmarks.bare_loop", *settings) as process:
        os.sched_setaffinity(process.pid, {max(os.sched_getaffinity(0))})
        assert process.stdout is not None
        rounds = [json.loads(line) for line in process.stdout]
    figures = [tuple(each[name] for name in FIGURES) for each in rounds]
    cpu, wall = (
        float(np.mean([each[name] for each in rounds[1:]])) for name in ("cpu_seconds", "wall_seconds")
    )
    return Cost(cpu, wall, figures, load_file(model))


def _started(module: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"} if module == "benchmarks.bare_loop" else None,
    )


def _figures_apart(program: Cost, bare: Cost) -> float:
    return float(np.abs(np.array(program.figures) - np.array(bare.figures)).max())


def _models_apart(program: Cost, bare: Cost) -> float:
    return max(float(np.abs(program.model[name] - weights).max()) for name, weights in bare.model.items())
